//! The sixteen faults that a stack should ride out.

use std::{io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use towline_core::Dialect;

use crate::{
    answer::Answer, provider::MockProvider, provider_error::ProviderError, received::Received, reply::Reply, step::Step,
};

/// One of sixteen ways in which a provider lets its callers down, after Failover Bench, a public crash test for LLM gateways.
///
/// Each is a pair of providers: a primary that misbehaves and a fallback that does not (but for one). They answer in any
/// dialect, streamed or whole as each request asks, and they count: the whole answer is [`Fault::answer`], from the
/// model [`PRIMARY`](Fault::PRIMARY) or [`FALLBACK`](Fault::FALLBACK), so that a test sees what is missing, what came twice and who said it.
///
/// | | fault | the primary | what a good stack makes of it |
/// |--:|---|---|---|
/// | 1 | `LimitedOnce` | 429 with `Retry-After: 2`, then well | asks again after 2 s and no earlier, or elsewhere |
/// | 2 | `Limited` | 429 for ever, and says not for how long | backs off with jitter (at most 4 attempts in 3 s, 6 in all), then goes elsewhere |
/// | 3 | `ErrorOnce` | 500, then well | asks once more |
/// | 4 | `Down` | 503 for ever | goes elsewhere after at most 6 attempts |
/// | 5 | `ResetOnce` | resets the connection before the head, then well | asks again, here or elsewhere |
/// | 6 | `Silent` | says nothing for 120 s | gives up after one attempt, long before that, and goes elsewhere |
/// | 7 | `LateFirstToken` | sends the head at once and its first content after 20 s | does not take a head for an answer: goes elsewhere within 15 s |
/// | 8 | `StreamCut` | closes the connection after 40 of 60 pieces | continues elsewhere, or ends with an error that nobody can miss |
/// | 9 | `StreamStall` | falls silent for 30 s after 20 pieces | notices in bounded time; then as in 8 |
/// | 10 | `BrokenEvent` | puts an event of broken JSON before the tenth | passes on the rest |
/// | 11 | `NoTerminator` | leaves out `[DONE]` (`message_stop`) | is done all the same, at once, and knows the usage |
/// | 12 | `ContextLength` | 400: the prompt is too long | never asks the same model again |
/// | 13 | `ContentPolicy` | refuses the prompt by its policy | asks once, and its caller learns why |
/// | 14 | `PrefillRefused` | as 8; and the fallback refuses to continue a begun answer with a 400 | never shows that 400 to the caller |
/// | 15 | `Outage` | 503 for 60 s from its first request on, then well | goes elsewhere, probes seldom, and is back within 30 s |
/// | 16 | `Substitute` | 503 for ever | names the model that answered, with its usage |
///
/// A whole answer has no events. It is cut after two thirds of its bytes (8, 14), stalls after one third (9), is broken JSON
/// from end to end (10), comes 20 s after its head (7), or is well (11). In the dialects of Responses, Gemini and Bedrock nothing
/// follows the last event that tells something, so 11 is a well answer there too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towline_testkit::BoxError> {
/// use http_body_util::{BodyExt, Full};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use towline_testkit::{Dialect, Fault};
///
/// let (primary, fallback) = Fault::ErrorOnce.start(Dialect::Anthropic).await?;
/// // Your stack, with `primary.uri()` and `fallback.uri()` for its targets. Here a client that asks twice:
/// let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
/// let ask = || client.request(http::Request::post(primary.url("/v1/messages")).body(Full::from("{}")).unwrap());
/// assert_eq!(ask().await?.status(), 500);
/// let answer = ask().await?.into_body().collect().await?.to_bytes();
/// assert!(String::from_utf8_lossy(&answer).contains(&Fault::answer().whole_text()));
/// assert_eq!((primary.hits(), fallback.hits()), (2, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 1: limits the rate once, and says for how long.
    LimitedOnce = 1,
    /// 2: limits the rate for ever, and does not say for how long.
    Limited,
    /// 3: fails once.
    ErrorOnce,
    /// 4: is down.
    Down,
    /// 5: resets the connection once.
    ResetOnce,
    /// 6: takes the request and is silent.
    Silent,
    /// 7: sends the head, and the first content much later.
    LateFirstToken,
    /// 8: dies within its answer.
    StreamCut,
    /// 9: falls silent within its answer.
    StreamStall,
    /// 10: sends an event that is no JSON.
    BrokenEvent,
    /// 11: leaves out the terminator.
    NoTerminator,
    /// 12: finds the prompt too long.
    ContextLength,
    /// 13: refuses the prompt.
    ContentPolicy,
    /// 14: dies within its answer, and the fallback will not continue one.
    PrefillRefused,
    /// 15: is down for a minute.
    Outage,
    /// 16: is down, and somebody else answers.
    Substitute,
}

/// What a primary remembers.
#[derive(Default)]
struct Seen {
    requests: usize,
    first: Option<Instant>,
}

impl Fault {
    /// All sixteen, in order.
    pub const ALL: [Self; 16] = [
        Self::LimitedOnce,
        Self::Limited,
        Self::ErrorOnce,
        Self::Down,
        Self::ResetOnce,
        Self::Silent,
        Self::LateFirstToken,
        Self::StreamCut,
        Self::StreamStall,
        Self::BrokenEvent,
        Self::NoTerminator,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::PrefillRefused,
        Self::Outage,
        Self::Substitute,
    ];
    /// The model that the primary says it is.
    pub const PRIMARY: &'static str = "primary-model";
    /// The model that the fallback says it is.
    pub const FALLBACK: &'static str = "fallback-model";

    /// Its number in the table, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What both providers answer when they answer: 60 pieces, 12 tokens of input and 60 of output.
    #[must_use]
    pub fn answer() -> Answer {
        Answer::counting(60)
    }

    /// Starts a primary and a fallback that behave so from now on.
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be bound.
    pub async fn start(self, dialect: Dialect) -> io::Result<(MockProvider, MockProvider)> {
        let (primary, fallback) = (MockProvider::start().await?, MockProvider::start().await?);
        primary.respond_with(self.primary(dialect));
        fallback.respond_with(self.fallback(dialect));
        Ok((primary, fallback))
    }

    /// How the primary answers, for [`MockProvider::respond_with`]. What happens once or for a while begins with the first request.
    pub fn primary(self, dialect: Dialect) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
        let seen = Arc::new(Mutex::new(Seen::default()));
        move |request| {
            let (first, lasts) = {
                let mut seen = seen.lock();
                seen.requests = seen.requests.saturating_add(1);
                let since = *seen.first.get_or_insert(request.at);
                (seen.requests == 1, request.at.saturating_duration_since(since))
            };
            self.reply(dialect, request, first, lasts)
        }
    }

    /// How the fallback answers, for [`MockProvider::respond_with`]. A request that ends with the beginning of an answer gets
    /// the rest of it, except in [`PrefillRefused`](Self::PrefillRefused).
    pub fn fallback(self, dialect: Dialect) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
        let answer = Self::answer().model(Self::FALLBACK);
        move |request| match prefill(&request.json()) {
            Some(_) if self == Self::PrefillRefused => Reply::error_of(dialect, ProviderError::InvalidRequest),
            Some(begun) => Reply::as_asked(request, dialect, &answer.after(&begun)),
            None => Reply::as_asked(request, dialect, &answer),
        }
    }

    fn reply(self, dialect: Dialect, request: &Received, first: bool, lasts: Duration) -> Reply {
        let error = |error| Reply::error_of(dialect, error);
        let well = || Reply::as_asked(request, dialect, &Self::answer().model(Self::PRIMARY));
        match self {
            Self::LimitedOnce if first => error(ProviderError::RateLimited(Some(Duration::from_secs(2)))),
            Self::Limited => error(ProviderError::RateLimited(None)),
            Self::ErrorOnce if first => error(ProviderError::ServerError),
            Self::Down | Self::Substitute => error(ProviderError::Overloaded),
            Self::Outage if lasts < Duration::from_secs(60) => error(ProviderError::Overloaded),
            Self::ResetOnce if first => Reply::reset(),
            Self::Silent => well().delay(Duration::from_secs(120)),
            Self::LateFirstToken => late(well(), request),
            Self::StreamCut | Self::PrefillRefused => within(well(), request, 40, Step::Close),
            Self::StreamStall => within(well(), request, 20, Step::Wait(Duration::from_secs(30))),
            Self::BrokenEvent => broken(well(), request, dialect),
            Self::NoTerminator => unterminated(well(), request, dialect),
            Self::ContextLength => error(ProviderError::ContextLength),
            // What Gemini says with a 200 it streams if it was asked to.
            Self::ContentPolicy if dialect == Dialect::Gemini && request.wants_stream() => {
                Reply::stream().error_event(dialect, ProviderError::ContentPolicy)
            }
            Self::ContentPolicy => error(ProviderError::ContentPolicy),
            Self::LimitedOnce | Self::ErrorOnce | Self::ResetOnce | Self::Outage => well(),
        }
    }
}

/// The opening of a stream is no content, so it comes at once.
fn late(well: Reply, request: &Received) -> Reply {
    let wait = Step::Wait(Duration::from_secs(20));
    if request.wants_stream() { well.after_pieces(0, wait) } else { well.at(0, wait) }
}

/// A step after so many of the 60 pieces, or after as large a part of a whole answer.
fn within(well: Reply, request: &Received, pieces: usize, step: Step) -> Reply {
    if request.wants_stream() {
        well.after_pieces(pieces, step)
    } else {
        let bytes = well.body_length().saturating_mul(pieces) / 60;
        well.at(bytes, step)
    }
}

fn broken(well: Reply, request: &Received, dialect: Dialect) -> Reply {
    const JUNK: &str = "{\"broken\": [1, 2,";
    if request.wants_stream() {
        well.after_events(9, Step::Bytes(crate::dialect::event(dialect, JUNK)))
    } else {
        Reply::ok().json(JUNK)
    }
}

fn unterminated(well: Reply, request: &Received, dialect: Dialect) -> Reply {
    match dialect {
        Dialect::OpenAiResponses | Dialect::Gemini | Dialect::Bedrock => well,
        _ if request.wants_stream() => {
            let events = well.events();
            well.up_to_event(events.saturating_sub(1))
        }
        _ => well,
    }
}

/// The beginning of an answer that a request ends with, wherever its dialect has it.
fn prefill(request: &Value) -> Option<String> {
    let last = ["messages", "input", "contents"].iter().find_map(|key| request[*key].as_array()?.last())?;
    if last["role"] != "assistant" && last["role"] != "model" {
        return None;
    }
    let said = if last["parts"].is_null() { &last["content"] } else { &last["parts"] };
    match said {
        Value::String(text) => Some(text.clone()),
        parts => Some(parts.as_array()?.iter().filter_map(|part| part["text"].as_str()).collect()),
    }
}

#[cfg(test)]
mod tests;
