//! Server-sent events: bytes in, events out, and back.
//!
//! The decoder follows the HTML specification's event stream format: lines end with LF, CR or CRLF; one leading byte order mark
//! is skipped; lines of `data` are joined with LF; a block without `data` is no event; `retry` is digits only; an `id` with a
//! NUL is ignored. It may be fed at any split, takes time linear in the bytes, and keeps at most one event.
//!
//! Beyond the specification it hands out comments and lines that are no field ([`Frame::Stray`]), since providers put a status
//! into the one and bare JSON into the other, and the unterminated rest after [`Decoder::finish`], as evidence only.
//!
//! ```
//! use towline_wire::sse::{Decoder, Frame};
//!
//! let mut decoder = Decoder::new();
//! decoder.push("event: ping\ndata: {}\n".into());
//! assert!(decoder.next_frame().unwrap().is_none());
//! decoder.push("\n".into());
//! let Ok(Some(Frame::Event(event))) = decoder.next_frame() else { panic!("no event") };
//! assert_eq!((&event.name[..], &event.data[..]), (&b"ping"[..], &b"{}"[..]));
//! ```

use std::{error, fmt, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

/// An event of at most 16 MiB is accepted unless told otherwise.
pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

/// An incremental decoder.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// What was pushed and not yet read.
    input: Bytes,
    /// A line whose end has not come yet.
    line: BytesMut,
    event: Building,
    first: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    finished: bool,
    failed: bool,
}

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// An event.
    Event(Event),
    /// A comment, without its colon.
    Comment(Bytes),
    /// A line that is neither a field of the specification nor a comment; a client must ignore it.
    Stray(Bytes),
}

/// An event, its texts as bytes: UTF-8 is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The `event` field; empty where none was told, which means `message`.
    pub name: Bytes,
    /// The data, its lines joined with LF. A slice of what was pushed where it is one line within one chunk.
    pub data: Bytes,
    /// The `id` that stands in this event.
    pub id: Option<Bytes>,
    /// The reconnection time that stands in this event.
    pub retry: Option<Duration>,
    /// `false` for the rest of a stream that ended without the blank line. By specification that is no event.
    pub complete: bool,
}

/// An event, or a line, grew beyond the decoder's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

#[derive(Debug, Default)]
struct Building {
    name: Bytes,
    data: Data,
    id: Option<Bytes>,
    retry: Option<Duration>,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for events of up to [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// A decoder for events of up to `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            input: Bytes::new(),
            line: BytesMut::new(),
            event: Building::default(),
            first: true,
            after_cr: false,
            finished: false,
            failed: false,
        }
    }

    /// Takes the next bytes. Read all frames before the next push; what is left is joined with it, at the price of a copy.
    pub fn push(&mut self, chunk: Bytes) {
        if self.failed || self.finished {
            return;
        }
        self.input = if self.input.is_empty() { chunk } else { [&self.input[..], &chunk[..]].concat().into() };
    }

    /// Ends the stream: what is left unterminated comes out of [`next_frame`](Self::next_frame) as evidence.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next frame, or `None` until more is pushed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if an event grows beyond the limit. The decoder has let go of all bytes then and yields no more frames.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TooLarge> {
        while let Some(line) = self.next_line() {
            if self.line.len().saturating_add(line.len()).saturating_add(self.event.size()) > self.limit {
                return Err(self.fail());
            }
            if let Some(frame) = self.read_line(&line) {
                return Ok(Some(frame));
            }
        }
        if self.line.len().saturating_add(self.event.size()) > self.limit {
            return Err(self.fail());
        }
        if self.finished {
            return Ok(self.event.take().map(|event| Frame::Event(Event { complete: false, ..event })));
        }
        Ok(None)
    }

    fn fail(&mut self) -> TooLarge {
        let limit = self.limit;
        *self = Self { failed: true, ..Self::with_limit(limit) };
        TooLarge { limit }
    }

    /// The next line without its end.
    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.input.is_empty() {
            self.after_cr = false;
            if self.input.first() == Some(&b'\n') {
                let _ = self.input.split_to(1);
            }
        }
        let Some(end) = memchr::memchr2(b'\n', b'\r', &self.input) else {
            let rest = std::mem::take(&mut self.input);
            // One byte beyond the limit is enough to know that it is too large.
            let room = self.limit.saturating_add(1).saturating_sub(self.line.len()).min(rest.len());
            self.line.put_slice(rest.get(..room).unwrap_or_default());
            return (self.finished && !self.line.is_empty()).then(|| self.line.split().freeze());
        };
        let mut line = self.input.split_to(end);
        let ending = self.input.split_to(1);
        if ending.first() == Some(&b'\r') {
            if self.input.first() == Some(&b'\n') {
                let _ = self.input.split_to(1);
            } else {
                self.after_cr = self.input.is_empty();
            }
        }
        // A line that is too large by now is refused by the caller, so it need not be joined.
        if !self.line.is_empty() && self.line.len().saturating_add(line.len()) <= self.limit {
            self.line.put_slice(&line);
            line = self.line.split().freeze();
        }
        Some(line)
    }

    fn read_line(&mut self, line: &Bytes) -> Option<Frame> {
        let mut line = line.clone();
        if std::mem::take(&mut self.first) && line.starts_with(b"\xef\xbb\xbf") {
            let _ = line.split_to(3);
        }
        if line.is_empty() {
            return self.event.take().map(Frame::Event);
        }
        // The one field that matters for speed.
        if line.starts_with(b"data:") {
            self.event.data.add(value(&line, 5));
            return None;
        }
        let colon = memchr::memchr(b':', &line);
        let field = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
        let value = value(&line, colon.map_or(line.len(), |colon| colon + 1));
        match field {
            b"" => return Some(Frame::Comment(line.slice(1..))),
            b"data" => self.event.data.add(value),
            b"event" => self.event.name = value,
            b"id" => {
                if !value.contains(&0) {
                    self.event.id = Some(value);
                }
            }
            b"retry" => {
                let digits = std::str::from_utf8(&value).ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit()));
                if let Some(millis) = digits.and_then(|v| v.parse().ok()) {
                    self.event.retry = Some(Duration::from_millis(millis));
                }
            }
            _ => return Some(Frame::Stray(line)),
        }
        None
    }
}

impl Building {
    fn size(&self) -> usize {
        let data = match &self.data {
            Data::None => 0,
            Data::One(line) => line.len(),
            Data::Many(lines) => lines.len(),
        };
        data.saturating_add(self.name.len()).saturating_add(self.id.as_ref().map_or(0, Bytes::len))
    }

    /// The event at a blank line, if there is one; a block without data leaves nothing behind.
    fn take(&mut self) -> Option<Event> {
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

impl Event {
    /// An event with a name, empty for none, and data.
    #[must_use]
    pub fn new(name: impl Into<Bytes>, data: impl Into<Bytes>) -> Self {
        Self { name: name.into(), data: data.into(), id: None, retry: None, complete: true }
    }

    /// The event as it goes over the wire, its blank line included. What would end a line in `name` or `id` is left out.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.data.len() + self.name.len() + 24);
        let mut field = |name: &[u8], value: &[u8]| {
            out.put_slice(name);
            out.put_slice(b": ");
            out.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n')));
            out.put_u8(b'\n');
        };
        if !self.name.is_empty() {
            field(b"event", &self.name);
        }
        if let Some(id) = self.id.as_ref().filter(|id| !id.contains(&0)) {
            field(b"id", id);
        }
        if let Some(retry) = self.retry {
            field(b"retry", retry.as_millis().to_string().as_bytes());
        }
        let mut rest = &self.data[..];
        loop {
            let end = memchr::memchr2(b'\n', b'\r', rest);
            field(b"data", rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
            let Some(end) = end else { break };
            let crlf = rest.get(end..end + 2) == Some(b"\r\n");
            rest = rest.get(end + 1 + usize::from(crlf)..).unwrap_or_default();
        }
        out.put_u8(b'\n');
        out.freeze()
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a server-sent event is larger than {} bytes", self.limit)
    }
}

impl error::Error for TooLarge {}

/// What stands from `start`, without one leading blank.
fn value(line: &Bytes, start: usize) -> Bytes {
    let start = start + usize::from(line.get(start) == Some(&b' '));
    line.slice(start.min(line.len())..)
}

#[cfg(test)]
mod tests;
