//! What a request's path says: the dialect, the model and whether the answer streams.

use std::{borrow::Cow, ops::Range};

use towline_core::Dialect;

/// What can be told from a path alone.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PathFacts {
    /// The dialect, from the end of the path.
    pub(crate) dialect: Option<Dialect>,
    /// Where the model stands in the path, still percent-encoded.
    pub(crate) model: Option<Range<usize>>,
    /// The verb asks for a stream.
    pub(crate) stream: bool,
}

/// A path, parted before its last segment, by which nearly all is told.
#[derive(Clone, Copy)]
struct Segments<'a> {
    /// All before the last segment, with the slash at its end.
    before: &'a [u8],
    last: &'a [u8],
}

/// Reads a path without its query.
pub(crate) fn read(path: &str) -> PathFacts {
    let segments = Segments::of(path);
    if let Some(dialect) = segments.suffix() {
        return PathFacts { dialect: Some(dialect), model: segments.deployment(), stream: false };
    }
    segments.verb().unwrap_or_else(|| PathFacts { model: segments.deployment(), ..PathFacts::default() })
}

/// The dialect alone.
pub(crate) fn dialect(path: &str) -> Option<Dialect> {
    let segments = Segments::of(path);
    segments.suffix().or_else(|| segments.verb()?.dialect)
}

/// `%41` becomes `A`; what is not an escape, or is not UTF-8 afterwards, stays as it is.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |i: usize| tail.get(i).and_then(|b| char::from(*b).to_digit(16));
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                tail.get(2..).unwrap_or_default()
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Encodes one path segment: all but the unreserved characters and `@`, as which Vertex writes a model's version.
pub(crate) fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

impl<'a> Segments<'a> {
    fn of(path: &'a str) -> Self {
        let mut path = path.as_bytes();
        while let [shorter @ .., b'/'] = path {
            path = shorter;
        }
        let (before, last) = path.split_at(memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1));
        Self { before, last }
    }

    /// The dialect by a last segment that is always the same.
    fn suffix(self) -> Option<Dialect> {
        match self.last {
            b"completions" | b"embeddings" => Some(Dialect::OpenAiChat),
            b"responses" => Some(Dialect::OpenAiResponses),
            b"messages" if find(self.before, b"/threads/").is_none() => Some(Dialect::Anthropic),
            b"count_tokens" if self.before == b"messages/" || self.before.ends_with(b"/messages/") => Some(Dialect::Anthropic),
            _ => None,
        }
    }

    fn verb(self) -> Option<PathFacts> {
        self.bedrock().or_else(|| self.google())
    }

    /// `/model/{id}/verb`. The id may be an ARN whose slashes nobody encoded, so it ends at the last slash.
    fn bedrock(self) -> Option<PathFacts> {
        let stream = match self.last {
            b"converse" | b"invoke" | b"count-tokens" => false,
            b"converse-stream" | b"invoke-with-response-stream" | b"invoke-with-bidirectional-stream" => true,
            _ => return None,
        };
        let before = self.before.strip_suffix(b"/")?;
        let start = find(before, b"/model/")? + b"/model/".len();
        Some(PathFacts { dialect: Some(Dialect::Bedrock), model: filled(start..before.len()), stream })
    }

    /// `.../models/{model}:verb`, at Gemini and, for several publishers' models, at Vertex.
    fn google(self) -> Option<PathFacts> {
        let colon = memchr::memrchr(b':', self.last)?;
        let verb = self.last.get(colon + 1..)?;
        let dialect = match verb {
            b"generateContent" | b"streamGenerateContent" | b"embedContent" | b"batchEmbedContents" | b"countTokens" => {
                Dialect::Gemini
            }
            b"rawPredict" | b"streamRawPredict" if find(self.before, b"/publishers/anthropic/").is_some() => Dialect::Anthropic,
            _ => return None,
        };
        let start = Some(self.before.len()).filter(|start| *start > 0)?;
        Some(PathFacts { dialect: Some(dialect), model: filled(start..start + colon), stream: verb.starts_with(b"stream") })
    }

    /// Azure's `/openai/deployments/{model}/...`.
    fn deployment(self) -> Option<Range<usize>> {
        const BEFORE: &[u8] = b"/openai/deployments/";
        let start = find(self.before, BEFORE)? + BEFORE.len();
        let length = memchr::memchr(b'/', self.before.get(start..)?)?;
        filled(start..start + length)
    }
}

/// Most paths are too short to hold any of what is looked for, and are not searched.
#[inline]
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if text.len() < part.len() { None } else { search(text, part) }
}

#[inline(never)]
fn search(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}

fn filled(range: Range<usize>) -> Option<Range<usize>> {
    Some(range).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests;
