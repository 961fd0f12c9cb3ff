//! What a streamed answer says, event by event: when content begins, what went wrong, and whether it came to its end.
//!
//! One [`StreamReader`] reads one answer, in whatever dialect it comes: server-sent events of OpenAI Chat Completions and what
//! speaks like it, OpenAI Responses, Anthropic, Gemini, Cohere and TGI, Ollama's lines of JSON, and Bedrock's binary frames. Each event is recognised
//! by its own keys, so no configuration is needed. An event's content is looked at and not kept: no tree is built for it.
//!
//! ```
//! use towline_wire::stream::{Step, StreamReader};
//!
//! let mut reader = StreamReader::new();
//! reader.push("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n".into());
//! assert!(matches!(reader.next_step().unwrap().step, Step::Lifecycle));
//! reader.push("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n".into());
//! let progress = reader.next_step().unwrap();
//! assert!(matches!(progress.step, Step::Content(_)) && progress.ends);
//! reader.finish();
//! assert!(reader.next_step().is_none());
//! assert_eq!(reader.verdict(), None);
//! ```

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use towline_core::{Failure, FailureKind};

use crate::{
    error::{Report, conclude},
    eventstream,
    sse::{self, Frame},
};

mod bedrock;
mod dialect;
mod event;
mod usage;

pub use usage::Usage;

/// Bare JSON beside the events is kept up to this size.
const STRAYS: usize = 64 * 1024;

/// Reads one streamed answer. Feed it with [`push`](Self::push), take what it found with [`next_step`](Self::next_step), and
/// at the end call [`finish`](Self::finish), take the rest, and ask for the [`verdict`](Self::verdict). `Debug` shows no text.
pub struct StreamReader {
    framing: Framing,
    limit: usize,
    /// A status that the provider put into a comment.
    status: Option<u16>,
    strays: Vec<u8>,
    seen: Seen,
    usage: Usage,
    finished: bool,
}

/// What one event brought.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What it is.
    pub step: Step,
    /// Whether the answer is complete with it: `[DONE]`, `message_stop`, `response.completed`, or a reason to stop.
    pub ends: bool,
    /// What it tells about tokens.
    pub usage: Option<Usage>,
}

/// What an event is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// It bears nothing: a ping, `message_start`, a chunk with a role only, `response.created`.
    Lifecycle,
    /// It bears content.
    Content(Content),
    /// It ends the answer and bears nothing else.
    Terminal,
    /// The provider says that the answer failed or was refused.
    Error(Failure),
    /// Its data is not JSON, or the framing is broken.
    Malformed,
}

/// The kinds of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Text, or media that is shown as an answer.
    Text,
    /// Reasoning.
    Reasoning,
    /// A call of a tool: its beginning or a piece of its arguments.
    Tool,
}

enum Framing {
    Unknown,
    Sse(sse::Decoder),
    Binary(eventstream::Decoder),
    /// Nothing more can be read.
    Broken,
}

/// What was seen so far, for the verdict.
#[derive(Debug, Default)]
struct Seen {
    content: bool,
    ended: bool,
    malformed: bool,
    failure: Option<Failure>,
}

impl Default for StreamReader {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamReader {
    /// A reader of events up to [`sse::DEFAULT_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(sse::DEFAULT_LIMIT)
    }

    /// A reader of events up to `limit` bytes; a larger one breaks the stream.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            framing: Framing::Unknown,
            limit,
            status: None,
            strays: Vec::new(),
            seen: Seen::default(),
            usage: Usage::default(),
            finished: false,
        }
    }

    /// Takes the next bytes. Take all steps before the next push.
    pub fn push(&mut self, chunk: Bytes) {
        if let (Framing::Unknown, Some(first)) = (&self.framing, chunk.first()) {
            // No text begins with NUL; each binary message below 16 MiB does.
            self.framing = match first {
                0 => Framing::Binary(eventstream::Decoder::with_limit(self.limit)),
                _ => Framing::Sse(sse::Decoder::with_limit(self.limit)),
            };
        }
        match &mut self.framing {
            Framing::Sse(decoder) => decoder.push(chunk),
            Framing::Binary(decoder) => decoder.push(&chunk),
            Framing::Unknown | Framing::Broken => {}
        }
    }

    /// Says that the body has ended. What it left unterminated, such as `data: [DONE]` without a line's end, is read as well.
    pub fn finish(&mut self) {
        self.finished = true;
        if let Framing::Sse(decoder) = &mut self.framing {
            decoder.finish();
        }
    }

    /// What the next event brought, or `None` until more is pushed.
    #[must_use]
    pub fn next_step(&mut self) -> Option<Progress> {
        let progress = match &mut self.framing {
            Framing::Sse(_) => self.next_sse(),
            Framing::Binary(_) => self.next_binary(),
            Framing::Unknown | Framing::Broken => None,
        };
        let progress = progress.or_else(|| self.bare())?;
        match &progress.step {
            Step::Content(_) => self.seen.content = true,
            Step::Malformed => self.seen.malformed = true,
            Step::Error(failure) => {
                self.seen.failure.get_or_insert_with(|| failure.clone());
            }
            Step::Lifecycle | Step::Terminal => {}
        }
        self.seen.ended |= progress.ends;
        if let Some(usage) = progress.usage {
            self.usage.merge(usage);
        }
        Some(progress)
    }

    /// Where in the last push the event ends that [`next_step`](Self::next_step) has just told of, so that it can be left out.
    /// `None` unless it is one of server-sent events, and those can still be told apart.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        match &self.framing {
            Framing::Sse(decoder) => Some(decoder.position()),
            Framing::Unknown | Framing::Binary(_) | Framing::Broken => None,
        }
    }

    /// Whether no server-sent event has begun whose end has not come.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        if let Framing::Sse(decoder) = &self.framing { decoder.is_between_events() } else { true }
    }

    /// Whether content has been seen.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.seen.content
    }

    /// Whether the answer has said that it is complete.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.seen.ended
    }

    /// The tokens told so far. Providers tell totals, so the last word on each counts.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// What became of the answer, to be asked when the body has ended and all steps are taken; `None` if it is whole.
    ///
    /// In this order: the first error that the provider told; [`StreamBroken`](FailureKind::StreamBroken) if content came and
    /// the end did not; [`Malformed`](FailureKind::Malformed) if no content came at all, or the framing broke.
    #[must_use]
    pub fn verdict(&self) -> Option<Failure> {
        if let Some(failure) = &self.seen.failure {
            return Some(failure.clone());
        }
        match (self.seen.content, self.seen.ended) {
            (true, true) => None,
            (true, false) => Some(Failure::new(FailureKind::StreamBroken)),
            (false, _) => Some(Failure::new(FailureKind::Malformed)),
        }
    }

    fn next_sse(&mut self) -> Option<Progress> {
        loop {
            let Framing::Sse(decoder) = &mut self.framing else { return None };
            match decoder.next_frame() {
                Ok(Some(Frame::Event(event))) => {
                    // An unterminated rest that cannot be read is no evidence of anything.
                    let progress = event::read(&event.name, &event.data, self.status);
                    if event.complete || progress.step != Step::Malformed {
                        return Some(progress);
                    }
                }
                Ok(Some(Frame::Comment(text))) => {
                    let told = text
                        .strip_prefix(b"HTTP_STATUS/")
                        .and_then(|status| std::str::from_utf8(status).ok()?.trim().parse().ok());
                    self.status = told.filter(|status| (400..600).contains(status)).or(self.status);
                }
                // Ollama streams a line of JSON for each event.
                Ok(Some(Frame::Stray(line))) if self.strays.is_empty() && line.starts_with(b"{") && line.ends_with(b"}") => {
                    return Some(event::read(b"", &line, self.status));
                }
                Ok(Some(Frame::Stray(line))) => {
                    if self.strays.len().saturating_add(line.len()) < STRAYS {
                        self.strays.extend_from_slice(&line);
                        self.strays.push(b'\n');
                    }
                }
                Ok(None) => return None,
                Err(_) => {
                    self.framing = Framing::Broken;
                    return Some(Progress::new(Step::Malformed));
                }
            }
        }
    }

    fn next_binary(&mut self) -> Option<Progress> {
        let Framing::Binary(decoder) = &mut self.framing else { return None };
        match decoder.next_message() {
            Ok(message) => message.map(|message| bedrock::read(&message)),
            Err(_) => {
                self.framing = Framing::Broken;
                Some(Progress::new(Step::Malformed))
            }
        }
    }

    /// Bare JSON that stood beside the events, at the end: an error, or a list of Gemini's answers.
    fn bare(&mut self) -> Option<Progress> {
        if !self.finished || self.strays.is_empty() {
            return None;
        }
        let text = std::mem::take(&mut self.strays);
        let value: Value = serde_json::from_slice(&text).ok()?;
        match &value {
            Value::Array(list) => {
                list.iter().map(|item| event::read(b"", item.to_string().as_bytes(), self.status)).reduce(Progress::or)
            }
            Value::Object(_) => Some(event::read(b"", &text, self.status)),
            _ => None,
        }
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader").field("seen", &self.seen).field("usage", &self.usage).finish_non_exhaustive()
    }
}

impl Progress {
    const fn new(step: Step) -> Self {
        Self { step, ends: false, usage: None }
    }

    /// Several parts of one event, or several events at once, as one: an error outweighs content, content all else.
    fn or(self, other: Self) -> Self {
        let weight = |step: &Step| match step {
            Step::Error(_) => 4,
            Step::Content(_) => 3,
            Step::Terminal => 2,
            Step::Malformed => 1,
            Step::Lifecycle => 0,
        };
        let step = if weight(&other.step) > weight(&self.step) { other.step } else { self.step };
        Self { step, ends: self.ends || other.ends, usage: other.usage.or(self.usage) }
    }

    fn error(report: &Report) -> Self {
        Self::new(Step::Error(conclude(report, None)))
    }
}

#[cfg(test)]
mod tests;
