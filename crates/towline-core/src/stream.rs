//! What is known of a streamed answer while it flows, and once it has ended.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Failure, FailureKind, Outcome};

/// How a streamed answer gets on, as a cheap handle (one `Arc`) in the extensions of its response.
///
/// `ClassifyLayer` makes and writes it, in the very poll that brings a frame and before that frame is handed on. So whoever wraps the
/// body above reads here what the bytes that pass through it mean: whether there was content or only a ping, whether the end
/// is one, and what was used. Nobody is woken: a reader looks when its own timer fires or a frame passes.
///
/// ```
/// use towline_core::{Outcome, StreamEnd, StreamHandle};
///
/// let now = tokio::time::Instant::now();
/// let (handle, reader) = { let handle = StreamHandle::new(now); (handle.clone(), handle) };
/// handle.record_content(now, 1);
/// assert_eq!((reader.last_content(), reader.end()), (Some(now), None));
/// handle.settle(StreamEnd::Cut);
/// assert!(matches!(reader.outcome(), Some(Outcome::Failure(_))));
/// ```
#[derive(Clone)]
pub struct StreamHandle(Arc<Shared>);

struct Shared {
    began: Instant,
    /// When content last came, in nanoseconds after `began` and one more; 0 where none has come.
    content_at: AtomicU64,
    events: AtomicU64,
    broken: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    end: Option<StreamEnd>,
    usage: Option<Usage>,
}

/// How a streamed answer ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// With the event that ends it, or after the model had said that it was done.
    Complete,
    /// With an error: the provider's own event, or a connection that was lost.
    Failed(Failure),
    /// Cleanly, as far as HTTP goes, but without the event that ends it: the answer is not whole.
    Cut,
    /// Its reader left before the end.
    Dropped,
}

/// The tokens that an answer says it cost, as its provider counts them. `None` is what it did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt. Those read from a cache, or written into one, are among them with most providers; with Anthropic they are not.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output_tokens: Option<u64>,
    /// Tokens of the prompt that were read from a cache.
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the prompt that were written into a cache, where they are told apart from the others.
    pub cache_creation_tokens: Option<u64>,
}

impl StreamHandle {
    /// The handle of a stream whose head came at `began`.
    #[must_use]
    pub fn new(began: Instant) -> Self {
        Self(Arc::new(Shared {
            began,
            content_at: AtomicU64::new(0),
            events: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            told: Mutex::default(),
        }))
    }

    /// The handle of a response, if it is a stream and `ClassifyLayer` stands beneath.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// When the head of the response came.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.0.began
    }

    /// When content last came: text, reasoning or a part of a tool call. Pings and openings are none.
    #[must_use]
    pub fn last_content(&self) -> Option<Instant> {
        let nanos = self.0.content_at.load(Ordering::Acquire).checked_sub(1)?;
        self.0.began.checked_add(Duration::from_nanos(nanos))
    }

    /// How many events with content have come.
    #[must_use]
    pub fn content_events(&self) -> u64 {
        self.0.events.load(Ordering::Acquire)
    }

    /// How many events were left out, since they were no JSON.
    #[must_use]
    pub fn broken_events(&self) -> u64 {
        self.0.broken.load(Ordering::Acquire)
    }

    /// How it ended; `None` while it flows.
    #[must_use]
    pub fn end(&self) -> Option<StreamEnd> {
        self.0.told.lock().end.clone()
    }

    /// What its end means for the attempt; `None` while it flows.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.end().map(|end| match end {
            StreamEnd::Complete => Outcome::Success,
            StreamEnd::Failed(failure) => Outcome::Failure(failure),
            StreamEnd::Cut => Outcome::Failure(Failure::new(FailureKind::StreamBroken)),
            StreamEnd::Dropped => Outcome::Aborted,
        })
    }

    /// What the answer has said so far about the tokens that it costs; `None` where it was not asked to be read, or says nothing.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.0.told.lock().usage
    }

    /// Writes down that `events` events with content came at `now`.
    pub fn record_content(&self, now: Instant, events: u64) {
        let nanos = now.saturating_duration_since(self.0.began).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1);
        self.0.content_at.fetch_max(nanos, Ordering::AcqRel);
        self.0.events.fetch_add(events, Ordering::AcqRel);
    }

    /// Writes down that `events` events were left out.
    pub fn record_broken(&self, events: usize) {
        if let Some(events) = u64::try_from(events).ok().filter(|events| *events > 0) {
            self.0.broken.fetch_add(events, Ordering::AcqRel);
        }
    }

    /// Writes down what the answer says that it costs; the last word counts.
    pub fn record_usage(&self, usage: Usage) {
        self.0.told.lock().usage = Some(usage);
    }

    /// Writes down how it ended. The first word counts; `false` if there was one.
    #[allow(clippy::must_use_candidate, reason = "most do not care who was first")]
    pub fn settle(&self, end: StreamEnd) -> bool {
        let mut told = self.0.told.lock();
        let first = told.end.is_none();
        told.end.get_or_insert(end);
        first
    }
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHandle")
            .field("content_events", &self.content_events())
            .field("broken_events", &self.broken_events())
            .field("end", &self.end())
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_with_its_time_and_count() {
        let now = Instant::now();
        let handle = StreamHandle::new(now);
        assert_eq!((handle.last_content(), handle.content_events()), (None, 0));
        handle.record_content(now, 1);
        assert_eq!(handle.last_content(), Some(now));
        let later = now + Duration::from_nanos(1_500_000_007);
        handle.record_content(later, 3);
        handle.record_content(now, 1);
        assert_eq!((handle.last_content(), handle.content_events()), (Some(later), 5), "time never runs backwards");
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let handle = StreamHandle::new(Instant::now());
        handle.record_broken(0);
        assert_eq!(handle.broken_events(), 0);
        handle.record_broken(2);
        handle.clone().record_broken(1);
        assert_eq!(handle.broken_events(), 3);
    }

    #[test]
    fn the_first_end_counts() {
        let handle = StreamHandle::new(Instant::now());
        assert_eq!((handle.end(), handle.outcome()), (None, None));
        assert!(handle.settle(StreamEnd::Complete));
        assert!(!handle.clone().settle(StreamEnd::Dropped));
        assert_eq!((handle.end(), handle.outcome()), (Some(StreamEnd::Complete), Some(Outcome::Success)));
    }

    #[test]
    fn each_end_has_its_outcome() {
        let outcome = |end| {
            let handle = StreamHandle::new(Instant::now());
            handle.settle(end);
            handle.outcome().unwrap()
        };
        let overloaded = Failure::new(FailureKind::Overloaded);
        assert_eq!(outcome(StreamEnd::Failed(overloaded.clone())), Outcome::Failure(overloaded));
        assert_eq!(outcome(StreamEnd::Cut).failure().map(|f| f.kind), Some(FailureKind::StreamBroken));
        assert_eq!(outcome(StreamEnd::Dropped), Outcome::Aborted);
    }

    #[test]
    fn the_last_word_on_usage_counts_even_after_the_end() {
        let handle = StreamHandle::new(Instant::now());
        handle.record_usage(Usage { input_tokens: Some(3), ..Usage::default() });
        handle.settle(StreamEnd::Complete);
        let whole = Usage { input_tokens: Some(3), output_tokens: Some(9), ..Usage::default() };
        handle.record_usage(whole);
        assert_eq!(handle.usage(), Some(whole));
    }
}
