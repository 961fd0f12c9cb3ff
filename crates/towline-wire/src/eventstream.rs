//! AWS' binary event-stream framing, as which Bedrock streams: bytes in, messages out.
//!
//! A message is a prelude (total length, length of the headers, checksum), headers, payload and checksum. Both checksums are
//! checked. Only headers whose value is a string are kept; the others are skipped.

use std::{error, fmt};

use bytes::{Buf, Bytes, BytesMut};

/// Messages of at most 16 MiB are accepted unless told otherwise; AWS' own limit lies there too.
pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// An incremental decoder.
pub struct Decoder {
    limit: usize,
    buffer: BytesMut,
    failed: bool,
}

/// One message. `Debug` shows sizes, not texts.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The headers whose value is a string.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The payload, for Bedrock JSON.
    pub payload: Bytes,
}

/// The bytes are no event stream, or a message is too large. What follows cannot be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// The lengths in a prelude contradict each other or the headers.
    Lengths,
    /// A checksum is wrong.
    Checksum,
    /// A message is larger than the limit.
    TooLarge,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for messages of up to [`DEFAULT_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// A decoder for messages of up to `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), failed: false }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(chunk);
        }
    }

    /// Whether bytes of an unfinished message are left.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next message, or `None` until more is pushed.
    ///
    /// # Errors
    ///
    /// [`Broken`] once; the decoder has let go of all bytes then and yields no more messages.
    pub fn next_message(&mut self) -> Result<Option<Message>, Broken> {
        self.read().inspect_err(|_| {
            self.failed = true;
            self.buffer = BytesMut::new();
        })
    }

    fn read(&mut self) -> Result<Option<Message>, Broken> {
        let Some(prelude) = self.buffer.get(..PRELUDE) else { return Ok(None) };
        let (total, headers) = (number(prelude, 0)?, number(prelude, 4)?);
        if crc32(prelude.get(..8).unwrap_or_default()) != u32::try_from(number(prelude, 8)?).unwrap_or_default() {
            return Err(Broken::Checksum);
        }
        if total > self.limit {
            return Err(Broken::TooLarge);
        }
        let body = total.checked_sub(PRELUDE + CHECKSUM).ok_or(Broken::Lengths)?;
        if headers > body {
            return Err(Broken::Lengths);
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(total).freeze();
        let sum = message.split_off(total - CHECKSUM);
        if usize::try_from(crc32(&message)) != Ok(number(&sum, 0)?) {
            return Err(Broken::Checksum);
        }
        message.advance(PRELUDE);
        let headers = message.split_to(headers);
        Ok(Some(Message { headers: strings(headers)?, payload: message }))
    }
}

impl Message {
    /// The value of a header, if it is a string.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value).ok()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("limit", &self.limit).field("held", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} headers + {} bytes)", self.headers.len(), self.payload.len())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lengths => "the lengths in an event-stream message contradict each other",
            Self::Checksum => "an event-stream message has a wrong checksum",
            Self::TooLarge => "an event-stream message is too large",
        })
    }
}

impl error::Error for Broken {}

fn number(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let bytes = bytes.get(at..).and_then(|b| b.first_chunk::<4>()).ok_or(Broken::Lengths)?;
    usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| Broken::TooLarge)
}

/// The headers that are strings.
fn strings(mut rest: Bytes) -> Result<Vec<(Bytes, Bytes)>, Broken> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let name = rest.get_u8();
        let name = take(&mut rest, usize::from(name))?;
        let kind = take(&mut rest, 1)?;
        let size = match kind.first() {
            Some(0 | 1) => 0,
            Some(2) => 1,
            Some(3) => 2,
            Some(4) => 4,
            Some(5 | 8) => 8,
            Some(6 | 7) => usize::from(take(&mut rest, 2)?.get_u16()),
            Some(9) => 16,
            _ => return Err(Broken::Lengths),
        };
        let value = take(&mut rest, size)?;
        if kind.first() == Some(&7) {
            found.push((name, value));
        }
    }
    Ok(found)
}

fn take(rest: &mut Bytes, size: usize) -> Result<Bytes, Broken> {
    if size > rest.len() { Err(Broken::Lengths) } else { Ok(rest.split_to(size)) }
}

/// The checksum of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let index = u8::try_from((crc ^ u32::from(*byte)) & 0xff).unwrap_or_default();
        (crc >> 8) ^ TABLE.get(usize::from(index)).copied().unwrap_or_default()
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Standard base64, with or without padding, as which Bedrock wraps a model's own events; `None` for anything else.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.split(|b| *b == b'=').next().unwrap_or_default();
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for group in text.chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0_u32;
        for byte in group {
            let sextet = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = (bits << 6) | u32::from(sextet);
        }
        let missing = 4_usize.checked_sub(group.len())?;
        bits <<= 6 * missing;
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(..3_usize.checked_sub(missing)?)?);
    }
    Some(out)
}

#[cfg(test)]
pub(crate) mod tests;
