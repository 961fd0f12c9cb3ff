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

use self::block::Building;

mod block;

/// An event of at most 16 MiB is accepted unless told otherwise.
pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

/// An incremental decoder.
pub struct Decoder {
    limit: usize,
    /// What was pushed, read up to `at`.
    input: Bytes,
    at: usize,
    /// A line whose end has not come yet.
    line: BytesMut,
    event: Building,
    first: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    finished: bool,
    failed: bool,
}

/// What a stream consists of. `Debug` shows sizes, not texts.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// An event.
    Event(Event),
    /// A comment, without its colon.
    Comment(Bytes),
    /// A line that is neither a field of the specification nor a comment; a client must ignore it.
    Stray(Bytes),
}

/// An event, its texts as bytes: UTF-8 is not checked. `Debug` shows sizes, not texts.
#[derive(Clone, Default, PartialEq, Eq)]
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
            at: 0,
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
        let left = self.input.get(self.at..).unwrap_or_default();
        self.input = if left.is_empty() { chunk } else { [left, &chunk[..]].concat().into() };
        self.at = 0;
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
        loop {
            if self.after_cr && self.at < self.input.len() {
                self.after_cr = false;
                self.at += usize::from(self.input.get(self.at) == Some(&b'\n'));
            }
            let rest = self.input.get(self.at..).unwrap_or_default();
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else { break };
            let start = self.at;
            let end = start.saturating_add(length);
            self.at = end.saturating_add(1);
            if self.input.get(end) == Some(&b'\r') {
                self.after_cr = true;
            }
            if self.event.size().saturating_add(self.line.len()).saturating_add(length) > self.limit {
                return Err(self.fail());
            }
            let frame = if self.line.is_empty() {
                self.event.read(&self.input, start..end, &mut self.first)
            } else {
                self.line.put_slice(self.input.get(start..end).unwrap_or_default());
                self.carried()
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
        self.keep_rest()?;
        if self.finished {
            if !self.line.is_empty()
                && let Some(frame) = self.carried()
            {
                return Ok(Some(frame));
            }
            return Ok(self.event.take().map(|event| Frame::Event(Event { complete: false, ..event })));
        }
        Ok(None)
    }

    /// Where in the last push the frame ends that [`next_frame`](Self::next_frame) has just answered with, its line's end included.
    #[must_use]
    pub fn position(&self) -> usize {
        let left = self.after_cr && self.input.get(self.at) == Some(&b'\n');
        self.at.saturating_add(usize::from(left))
    }

    /// Whether all that was pushed has been read and no event has begun whose end has not come.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        self.at == self.input.len() && self.line.is_empty() && self.event.is_empty()
    }

    /// Reads the line that came in several pieces.
    fn carried(&mut self) -> Option<Frame> {
        let line = self.line.split().freeze();
        self.event.read(&line, 0..line.len(), &mut self.first)
    }

    /// Moves what is left of the input, which ends no line, to the line that is carried over.
    fn keep_rest(&mut self) -> Result<(), TooLarge> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        if self.event.size().saturating_add(self.line.len()).saturating_add(rest.len()) > self.limit {
            return Err(self.fail());
        }
        self.line.put_slice(rest);
        self.input = Bytes::new();
        self.at = 0;
        Ok(())
    }

    fn fail(&mut self) -> TooLarge {
        let limit = self.limit;
        *self = Self { failed: true, ..Self::with_limit(limit) };
        TooLarge { limit }
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

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.line.len().saturating_add(self.event.size());
        f.debug_struct("Decoder").field("limit", &self.limit).field("held", &held).finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Comment(text) => write!(f, "Comment({} bytes)", text.len()),
            Self::Stray(line) => write!(f, "Stray({} bytes)", line.len()),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({} + {} bytes, complete: {})", self.name.len(), self.data.len(), self.complete)
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a server-sent event is larger than {} bytes", self.limit)
    }
}

impl error::Error for TooLarge {}

#[cfg(test)]
mod tests;
