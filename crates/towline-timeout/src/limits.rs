//! Which limit ends first. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::{Phase, Target};

/// The limits of a [`TimeoutLayer`](crate::TimeoutLayer), as a value: what its [`profile`](crate::TimeoutLayer::profile) chooses
/// from. [`TimeoutLayer::limits`](crate::TimeoutLayer::limits) makes it; `Debug` shows each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub(crate) head: Option<Duration>,
    pub(crate) first_content: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) content_idle: Option<Duration>,
    pub(crate) floor: Option<Floor>,
    pub(crate) total: Option<Duration>,
    pub(crate) stream_total: Option<Duration>,
}

/// The least that must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) bytes: u64,
    pub(crate) window: Duration,
}

/// What is known of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) began: Instant,
    /// The deadline of the call that it belongs to.
    pub(crate) deadline: Option<Instant>,
    pub(crate) stream: bool,
}

/// How long the reader of a body had waited, by the time at which it found nothing to read, ..
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// .. which is this,
    pub(crate) since: Instant,
    /// .. for first content, the head included; `None` where that has come, or where it is no stream,
    pub(crate) first: Option<Duration>,
    /// .. for further content; `None` where content cannot be told from other bytes,
    pub(crate) content: Option<Duration>,
    /// .. and for the rest of the bytes that the floor asks for; `None` where it asks for none.
    pub(crate) floor: Option<Duration>,
}

/// A limit, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) at: Instant,
    pub(crate) phase: Phase,
    pub(crate) limit: Duration,
    /// Whether it is the call's deadline rather than a limit of ours.
    pub(crate) deadline: bool,
}

impl Limits {
    pub(crate) const NONE: Self =
        Self { head: None, first_content: None, idle: None, content_idle: None, floor: None, total: None, stream_total: None };

    /// The same at `target`, whose own limits take the place of these.
    pub(crate) fn at(mut self, target: &Target) -> Self {
        let own = |phase| target.timeout(phase);
        let put = |limit: &mut Option<Duration>, own: Option<Duration>| *limit = own.or(*limit);
        put(&mut self.head, own(Phase::Head));
        put(&mut self.first_content, own(Phase::FirstContent).or(own(Phase::Head)));
        put(&mut self.idle, own(Phase::Idle));
        put(&mut self.content_idle, own(Phase::ContentIdle));
        put(&mut self.total, own(Phase::Total));
        put(&mut self.stream_total, own(Phase::Total));
        self
    }

    /// Whether a target has any of its own.
    pub(crate) fn are_told_by(target: &Target) -> bool {
        use Phase as P;
        [P::Head, P::FirstContent, P::Idle, P::ContentIdle, P::Total].iter().any(|phase| target.timeout(*phase).is_some())
    }

    /// Whether any of them says more about streams than how long they may be silent, and take in all.
    pub(crate) const fn know_streams(&self) -> bool {
        self.first_content.is_some() || self.content_idle.is_some() || self.floor.is_some()
    }

    /// The limit that ends first while the head is awaited. Of a stream it is as good as its first content, since that is what
    /// classify beneath waits for.
    pub(crate) fn on_head(&self, exchange: &Exchange) -> Option<Cut> {
        let began = exchange.began;
        self.first(
            exchange,
            [if exchange.stream {
                own(Phase::FirstContent, self.first_content, Duration::ZERO, began)
            } else {
                own(Phase::Head, self.head, Duration::ZERO, began)
            }],
        )
    }

    /// The limit that ends first while a body gives nothing.
    pub(crate) fn on_body(&self, exchange: &Exchange, waits: &Waits) -> Option<Cut> {
        let left = |phase, limit, waited: Option<Duration>| own(phase, limit, waited?, waits.since);
        let first = left(Phase::FirstContent, self.first_content, waits.first);
        // Before there is any, content is awaited for as long as that limit says, if there is one.
        let further = if first.is_some() { None } else { left(Phase::ContentIdle, self.content_idle, waits.content) };
        let floor = left(Phase::Throughput, self.floor.map(|floor| floor.window), waits.floor);
        self.first(exchange, [first, own(Phase::Idle, self.idle, Duration::ZERO, waits.since), further, floor])
    }

    /// Of two that end at the same instant the deadline counts: nobody has time to try again after it. Then the one that says more.
    fn first<const N: usize>(&self, exchange: &Exchange, phases: [Option<Cut>; N]) -> Option<Cut> {
        let total = if exchange.stream { self.stream_total } else { self.total };
        let total = own(Phase::Total, total, Duration::ZERO, exchange.began);
        phases.into_iter().fold(earlier(exchange.deadline_cut(), total), earlier)
    }
}

/// The one that ends first, of two that end together the former.
fn earlier(one: Option<Cut>, other: Option<Cut>) -> Option<Cut> {
    match (&one, &other) {
        (Some(a), Some(b)) if b.at < a.at => other,
        (None, Some(_)) => other,
        _ => one,
    }
}

impl Floor {
    /// So many bytes a second on an average over `window`, and at least one.
    pub(crate) fn new(bytes_per_second: u32, window: Duration) -> Self {
        let bytes = window.as_nanos().saturating_mul(bytes_per_second.into()).div_ceil(1_000_000_000);
        Self { bytes: u64::try_from(bytes).unwrap_or(u64::MAX), window }
    }
}

impl Exchange {
    fn deadline_cut(&self) -> Option<Cut> {
        let at = self.deadline?;
        Some(Cut { at, phase: Phase::Total, limit: at.saturating_duration_since(self.began), deadline: true })
    }
}

/// What is left of a limit at `from`. One that ends beyond what a clock can tell is none.
fn own(phase: Phase, limit: Option<Duration>, waited: Duration, from: Instant) -> Option<Cut> {
    let limit = limit?;
    Some(Cut { at: from.checked_add(limit.saturating_sub(waited))?, phase, limit, deadline: false })
}

#[cfg(test)]
mod tests;
