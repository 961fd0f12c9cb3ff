//! What a provider says, in its own dialect.

mod anthropic;
mod bedrock;
mod chat;
mod frame;
mod gemini;
mod openai;
mod responses;

use bytes::Bytes;
use serde_json::Value;
use towline_core::Dialect;

use crate::{answer::Answer, provider_error::ProviderError, received::Received, reply::Reply, step::Step};

/// A streamed answer: its events as they go over the wire, and how many of them come before the first piece of text.
struct Spoken {
    opening: usize,
    events: Vec<Bytes>,
}

/// An error as it goes over the wire.
struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// An event of this dialect with any data at all.
pub(crate) fn event(dialect: Dialect, data: &str) -> Bytes {
    match dialect {
        Dialect::Bedrock => bedrock::raw_event(data),
        Dialect::Gemini => format!("data: {data}\r\n\r\n").into(),
        _ => format!("data: {data}\n\n").into(),
    }
}

/// Whole answers and errors of a dialect. One that this version does not know is spoken as OpenAI Chat.
impl Reply {
    /// A whole answer in this dialect: a 200 with a JSON document.
    ///
    /// Gemini and Bedrock do not tell all of it: Bedrock names neither the model nor an id.
    #[must_use]
    pub fn answer(dialect: Dialect, answer: &Answer) -> Self {
        let body = match dialect {
            Dialect::OpenAiResponses => responses::answer(answer),
            Dialect::Anthropic => anthropic::answer(answer),
            Dialect::Gemini => gemini::answer(answer),
            Dialect::Bedrock => bedrock::answer(answer),
            _ => chat::answer(answer),
        };
        Self::ok().json(body.to_string())
    }

    /// A streamed answer in this dialect, from its opening to its end, each event with its own write: server-sent events, or for
    /// Bedrock AWS' binary event stream with its checksums. Each piece of text is one event.
    ///
    /// | dialect | events |
    /// |---|---|
    /// | OpenAI Chat | a chunk with the role, one for each piece, one with the reason to stop, one with the usage, `[DONE]` |
    /// | OpenAI Responses | `response.created`, `response.in_progress`, the item and its part, a delta for each piece, the ends of these, `response.completed` with the usage |
    /// | Anthropic | `message_start`, `content_block_start`, `ping`, a delta for each piece, `content_block_stop`, `message_delta` with the usage, `message_stop` |
    /// | Gemini | CRLF; a response for each piece, and one with the reason to stop and the usage; no terminator |
    /// | Bedrock | `messageStart`, a delta for each piece, `contentBlockStop`, `messageStop`, `metadata` with the usage |
    #[must_use]
    pub fn stream_of(dialect: Dialect, answer: &Answer) -> Self {
        let spoken = match dialect {
            Dialect::OpenAiResponses => responses::events(answer),
            Dialect::Anthropic => anthropic::events(answer),
            Dialect::Gemini => gemini::events(answer),
            Dialect::Bedrock => bedrock::events(answer),
            _ => chat::events(answer),
        };
        let mut reply = match dialect {
            Dialect::Bedrock => Self::ok().header("content-type", "application/vnd.amazon.eventstream"),
            _ => Self::stream(),
        };
        reply.opening = spoken.opening;
        reply.chunks(spoken.events)
    }

    /// The answer as `request` asks for it: [`stream_of`](Self::stream_of) if it [wants a stream](Received::wants_stream), without
    /// the usage if the dialect is OpenAI Chat and `stream_options.include_usage` is not set; else [`answer`](Self::answer).
    ///
    /// [`MockProvider::speak`](crate::MockProvider::speak) answers every request so.
    #[must_use]
    pub fn as_asked(request: &Received, dialect: Dialect, answer: &Answer) -> Self {
        if !request.wants_stream() {
            Self::answer(dialect, answer)
        } else if dialect == Dialect::OpenAiChat && request.json()["stream_options"]["include_usage"] != true {
            Self::stream_of(dialect, &answer.clone().without_usage())
        } else {
            Self::stream_of(dialect, answer)
        }
    }

    /// An error as a provider of this dialect reports it: status, headers, body. Where a time to come back is told, it stands where
    /// the dialect has it: in `retry-after` (rounded up to whole seconds; OpenAI's `retry-after-ms` has the rest), for Gemini in a
    /// `RetryInfo` of the body.
    ///
    /// Gemini refuses a prompt by its policy with a 200.
    #[must_use]
    pub fn error_of(dialect: Dialect, error: ProviderError) -> Self {
        let refusal = match dialect {
            Dialect::OpenAiResponses => openai::refusal(error, "input"),
            Dialect::Anthropic => anthropic::refusal(error),
            Dialect::Gemini => gemini::refusal(error),
            Dialect::Bedrock => bedrock::refusal(error),
            _ => openai::refusal(error, "messages"),
        };
        let reply = Self::status(refusal.status).json(refusal.body.to_string());
        refusal.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }

    /// Adds an error to a stream, as a provider of this dialect reports it there. The stream ends after it, unless more is added.
    ///
    /// ```
    /// use towline_testkit::{Answer, Dialect, ProviderError, Reply};
    ///
    /// let answer = Answer::text(["a", "b", "c"]);
    /// // Half an answer, and then the provider is overloaded.
    /// Reply::stream_of(Dialect::Anthropic, &answer).up_to_piece(2).error_event(Dialect::Anthropic, ProviderError::Overloaded);
    /// // The very first event is an error.
    /// Reply::stream_of(Dialect::Gemini, &answer).up_to_event(0).error_event(Dialect::Gemini, ProviderError::ServerError);
    /// ```
    #[must_use]
    pub fn error_event(self, dialect: Dialect, error: ProviderError) -> Self {
        self.chunk(match dialect {
            Dialect::OpenAiResponses => responses::error_event(error),
            Dialect::Anthropic => anthropic::error_event(error),
            Dialect::Gemini => gemini::error_event(error),
            Dialect::Bedrock => bedrock::error_event(error),
            _ => chat::error_event(error),
        })
    }

    /// Does `step` after `n` events of the body, or at its end if it has fewer. An event is what was added to the body in one
    /// piece and not yet split by [`at`](Self::at).
    #[must_use]
    pub fn after_events(mut self, n: usize, step: Step) -> Self {
        let place = self.end_of_event(n);
        self.body.insert(place, step);
        self
    }

    /// Does `step` after `n` pieces of a [streamed answer](Self::stream_of)'s text, or at its end if it has fewer. The
    /// opening of the dialect does not count.
    #[must_use]
    pub fn after_pieces(self, n: usize, step: Step) -> Self {
        let opening = self.opening;
        self.after_events(opening.saturating_add(n), step)
    }

    /// Ends the body in order after `n` events.
    #[must_use]
    pub fn up_to_event(mut self, n: usize) -> Self {
        let place = self.end_of_event(n);
        self.body.truncate(place);
        self
    }

    /// Ends the body in order after `n` pieces of a [streamed answer](Self::stream_of)'s text: cut short, and HTTP does not tell.
    #[must_use]
    pub fn up_to_piece(self, n: usize) -> Self {
        let opening = self.opening;
        self.up_to_event(opening.saturating_add(n))
    }

    /// How many events the body has.
    pub(crate) fn events(&self) -> usize {
        self.body.iter().filter(|step| matches!(step, Step::Bytes(_))).count()
    }

    /// How many bytes the body has.
    pub(crate) fn body_length(&self) -> usize {
        self.body.iter().map(|step| if let Step::Bytes(bytes) = step { bytes.len() } else { 0 }).sum()
    }

    /// Where in the body its nth event ends.
    fn end_of_event(&self, n: usize) -> usize {
        let events = self.body.iter().enumerate().filter(|(_, step)| matches!(step, Step::Bytes(_)));
        match n.checked_sub(1) {
            None => 0,
            Some(last) => events.map(|(at, _)| at.saturating_add(1)).nth(last).unwrap_or(self.body.len()),
        }
    }
}
