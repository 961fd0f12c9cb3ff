//! How a body gets on: how long its reader has waited in vain, for each kind of progress. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::StreamHandle;

use crate::limits::{Floor, Waits};

/// Time counts only while there is nothing to read, so that a slow reader is never mistaken for a provider that is.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when there has been nothing to read.
    since: Option<Instant>,
    /// Boxed, since this lies in each response, and few are streams.
    stream: Option<Box<Stream>>,
}

/// What is known of a stream beyond its silence.
#[derive(Debug)]
struct Stream {
    source: Source,
    /// How long first content was waited for, the head included; `None` once it has come.
    first: Option<Duration>,
    /// How long was waited since content last came.
    content: Duration,
    /// How long was waited since as much had come as the floor asks for, and how much has come since then.
    slow: (Duration, u64),
}

/// What tells content from other bytes.
#[derive(Debug)]
pub(crate) struct Source {
    /// Of `ClassifyLayer` beneath.
    pub(crate) handle: Option<StreamHandle>,
    /// Whether content is to be expected. Of a stream that `ClassifyLayer` cannot read, none is ever told.
    pub(crate) expected: bool,
    /// How many events with content have been seen.
    pub(crate) seen: u64,
}

impl Pace {
    /// Of a stream whose head took as long as `took` says, which is not asked if its first content is here already.
    pub(crate) fn stream(source: Source, took: impl FnOnce() -> Duration) -> Self {
        let first = source.events().is_none_or(|events| events == 0).then(took);
        let stream = Stream { source, first, content: Duration::ZERO, slow: (Duration::ZERO, 0) };
        Self { since: None, stream: Some(Box::new(stream)) }
    }

    /// There is nothing to read at `now`.
    pub(crate) fn waits(&mut self, now: Instant) -> Waits {
        let stream = self.stream.as_deref();
        Waits {
            since: *self.since.get_or_insert(now),
            first: stream.and_then(|stream| stream.first),
            content: stream.and_then(|stream| stream.source.events().map(|_| stream.content)),
            // Before its first content a stream is not slow but late.
            floor: stream.filter(|stream| stream.first.is_none()).map(|stream| stream.slow.0),
        }
    }

    /// A frame has come. The clock is read only if it was waited for, and somebody wants to know for how long.
    pub(crate) fn saw_frame(&mut self, bytes: usize, floor: Option<Floor>, now: impl FnOnce() -> Instant) {
        let since = self.since.take();
        if let Some(stream) = &mut self.stream {
            let waited = since.map_or(Duration::ZERO, |since| now().saturating_duration_since(since));
            stream.saw_frame(bytes, floor, waited);
        }
    }
}

impl Stream {
    fn saw_frame(&mut self, bytes: usize, floor: Option<Floor>, waited: Duration) {
        let late = self.first.is_some();
        let (mut slow, mut came) = self.slow;
        slow = slow.saturating_add(waited);
        if self.source.has_content(bytes) {
            (self.first, self.content) = (None, Duration::ZERO);
            came = came.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        } else {
            self.first = self.first.map(|first| first.saturating_add(waited));
            self.content = self.content.saturating_add(waited);
        }
        let enough = late || floor.is_some_and(|floor| floor.bytes <= came);
        self.slow = if enough { (Duration::ZERO, 0) } else { (slow, came) };
    }
}

impl Source {
    /// How many events with content have come, if that can be known.
    fn events(&self) -> Option<u64> {
        let events = self.handle.as_ref()?.content_events();
        (self.expected || events > 0).then_some(events)
    }

    /// Whether a frame that has just come bore content: where nobody knows, all bytes are.
    fn has_content(&mut self, bytes: usize) -> bool {
        match self.events() {
            None => bytes > 0,
            Some(events) => std::mem::replace(&mut self.seen, events) != events,
        }
    }
}
