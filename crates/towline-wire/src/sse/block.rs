//! The lines of one event, read until a blank one ends it.

use std::{ops::Range, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Event, Frame};

/// An event in the making.
#[derive(Default)]
pub(super) struct Building {
    name: Bytes,
    data: Data,
    id: Option<Bytes>,
    retry: Option<Duration>,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Building {
    /// Reads one line without its end, as which `range` of `source` stands. Its values are slices of the source.
    pub(super) fn read(&mut self, source: &Bytes, range: Range<usize>, first: &mut bool) -> Option<Frame> {
        let mut start = range.start;
        let mut line = source.get(range.clone()).unwrap_or_default();
        if std::mem::take(first)
            && let Some(rest) = line.strip_prefix(b"\xef\xbb\xbf")
        {
            (line, start) = (rest, start.saturating_add(3));
        }
        if line.is_empty() {
            return self.take().map(Frame::Event);
        }
        // What stands after so many bytes of the line, without one leading blank.
        let value = |at: usize| {
            let at = at.min(line.len());
            let blank = usize::from(line.get(at) == Some(&b' '));
            source.slice(start.saturating_add(at + blank)..range.end)
        };
        // The one field that matters for speed.
        if line.starts_with(b"data:") {
            self.data.add(value(5));
            return None;
        }
        let colon = memchr::memchr(b':', line);
        let value = || value(colon.map_or(line.len(), |colon| colon.saturating_add(1)));
        match line.get(..colon.unwrap_or(line.len())).unwrap_or_default() {
            b"" => return Some(Frame::Comment(source.slice(start.saturating_add(1)..range.end))),
            b"data" => self.data.add(value()),
            b"event" => self.name = value(),
            b"id" => self.id = Some(value()).filter(|id| !id.contains(&0)).or_else(|| self.id.take()),
            b"retry" => {
                let value = value();
                let digits = std::str::from_utf8(&value).ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
                self.retry = digits.and_then(|v| v.parse().ok()).map(Duration::from_millis).or(self.retry);
            }
            _ => return Some(Frame::Stray(source.slice(start..range.end))),
        }
        None
    }

    pub(super) fn size(&self) -> usize {
        let data = match &self.data {
            Data::None => 0,
            Data::One(line) => line.len(),
            Data::Many(lines) => lines.len(),
        };
        data.saturating_add(self.name.len()).saturating_add(self.id.as_ref().map_or(0, Bytes::len))
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self { data: Data::None, name, id: None, retry: None } if name.is_empty())
    }

    /// The event at a blank line, if there is one; a block without data leaves nothing behind.
    pub(super) fn take(&mut self) -> Option<Event> {
        let Self { name, data, id, retry } = std::mem::take(self);
        let data = match data {
            Data::None => return None,
            Data::One(line) => line,
            Data::Many(lines) => lines.freeze(),
        };
        Some(Event { name, data, id, retry, complete: true })
    }
}

impl Data {
    fn add(&mut self, line: Bytes) {
        match self {
            Self::None => *self = Self::One(line),
            Self::One(first) => {
                let mut lines = BytesMut::with_capacity(first.len() + 1 + line.len());
                lines.put_slice(first);
                lines.put_u8(b'\n');
                lines.put_slice(&line);
                *self = Self::Many(lines);
            }
            Self::Many(lines) => {
                lines.put_u8(b'\n');
                lines.put_slice(&line);
            }
        }
    }
}
