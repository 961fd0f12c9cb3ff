//! The circuit itself: a pure state machine over `now`. It knows neither HTTP nor tasks, and changes only when it is asked.
//!
//! ```text
//!            a trip rule holds                  the open time is over, and somebody asks
//!   Closed ---------------------> Open ------------------------------------------> HalfOpen
//!     ^                             ^                                               |   |
//!     |                             +--------------- a probe fails -----------------+   |
//!     +--- (Ramping, if told so) --- enough probes succeed -----------------------------+
//! ```
//!
//! A closed circuit is one atomic word, and the rings in which its successes are counted: to be let in is a load, a success is
//! a load and a count, and ends a run of failures if there is one. Failures, and all that happens while it is not closed, take
//! a short lock. Under the lock the word's state and generation are stable; without it only a success may end a run, by
//! compare-and-swap.

use std::{fmt, num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use crate::{
    Verdict,
    circuit::rest::{Lazy, Rest},
    ring::Rings,
    rules::Rules,
    span::{Span, nanos},
    sync::{AtomicU64, Mutex, Ordering},
    word::{State, Word},
};

mod rest;
mod tell;
mod turn;

pub(crate) struct Circuit {
    word: AtomicU64,
    began: Instant,
    /// What succeeded.
    well: Rings,
    /// Whose first content came soon enough.
    quick: Option<Box<Rings>>,
    rest: Mutex<Lazy>,
}

/// What a request that was let in has to show when its outcome is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ticket {
    generation: u32,
    /// The place that it holds, if it is a probe.
    probe: Option<NonZeroU32>,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened {
        retry_after: Duration,
    },
    HalfOpened,
    Closed,
    /// Closed, but not yet for everybody.
    Ramping,
    Ramped,
    ForcedOpen {
        retry_after: Duration,
    },
    ForcedClosed,
}

impl Circuit {
    /// A closed circuit whose successes are counted in so many lanes.
    pub(crate) fn new(rules: &Rules, lanes: usize, now: Instant) -> Self {
        Self {
            word: AtomicU64::new(Word::CLOSED.pack()),
            began: now,
            well: Rings::new(if rules.failures.is_some() { lanes } else { 0 }),
            quick: rules.slow.map(|_| Box::new(Rings::new(lanes))),
            rest: Mutex::new(Lazy::default()),
        }
    }

    /// Lets a request in if the circuit is closed: what there is to do for most, without a clock.
    #[inline]
    pub(crate) fn pass(&self) -> Option<Ticket> {
        let bits = self.word.load(Ordering::Acquire);
        let word = Word::unpack(bits);
        (Word::is_closed(bits) || word.state == State::ForcedClosed).then(|| Ticket::of(word))
    }

    /// Lets a request in, or says how long to stay away.
    pub(crate) fn admit(&self, rules: &Rules, now: Instant) -> Result<(Ticket, Option<Change>), Duration> {
        if let Some(ticket) = self.pass() {
            return Ok((ticket, None));
        }
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let decided = self.decide(rest, rules, now);
        if decided.is_err() {
            rest.refused = rest.refused.saturating_add(1);
        }
        decided
    }

    /// Takes notice of a success while closed and without a failure before it: what there is to do for most. `false`, and nothing done,
    /// for any other.
    #[inline]
    pub(crate) fn succeed(&self, rules: &Rules, (ticket, lane): (Ticket, usize), now: impl FnOnce() -> Instant) -> bool {
        let well = Word { generation: ticket.generation, ..Word::CLOSED };
        if ticket.is_probe() || self.word.load(Ordering::Acquire) != well.pack() {
            return false;
        }
        if let Some(ratio) = &rules.failures {
            self.well.record(lane, ticket.generation, self.bucket(ratio.span, now()));
        }
        true
    }

    /// Takes notice of an outcome, with what the provider told about time. A ticket of another generation changes nothing.
    pub(crate) fn settle(
        &self,
        rules: &Rules,
        (ticket, lane): (Ticket, usize),
        verdict: Verdict,
        hint: Option<Duration>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Change> {
        match (ticket.probe, verdict) {
            (Some(probe), _) => self.settle_probe(rules, ticket.generation, probe, verdict, hint, now()),
            (None, Verdict::Success) => {
                self.succeeded(rules, ticket.generation, lane, now);
                None
            }
            (None, Verdict::Failure) => self.failed(rules, ticket.generation, hint, now()),
            (None, Verdict::Soft | Verdict::Neutral) => None,
        }
    }

    /// Takes notice of first content that came soon enough or was slow. Not for probes, whose success it is.
    pub(crate) fn content(&self, rules: &Rules, (ticket, lane): (Ticket, usize), slow: bool, now: Instant) -> Option<Change> {
        let ((_, ratio), quick) = rules.slow.zip(self.quick.as_ref())?;
        let number = self.bucket(ratio.span, now);
        if !slow {
            if self.load().generation == ticket.generation {
                quick.record(lane, ticket.generation, number);
            }
            return None;
        }
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let word = self.load();
        if word.generation != ticket.generation || !word.counts() {
            return None;
        }
        let slow = rest.slow.record(number);
        let met = ratio.is_met(slow.into(), quick.sum(word.generation, number));
        met.then(|| self.trip(rest, rules, word, now))
    }

    /// What to do with a request that found the circuit other than closed. Whether it still is, only the lock tells.
    fn decide(&self, rest: &mut Rest, rules: &Rules, now: Instant) -> Result<(Ticket, Option<Change>), Duration> {
        let word = self.load();
        match word.state {
            State::Closed | State::ForcedClosed => Ok((Ticket::of(word), None)),
            State::ForcedOpen => Err(rules.open.1),
            State::Open if now < rest.open_until => Err(rest.open_until - now),
            State::Open => {
                let word = self.half_open(rest, word, now);
                Ok((rest.reserve(word, now), Some(Change::HalfOpened)))
            }
            State::HalfOpen => {
                rest.expire(rules, now);
                let free = rest.probes.len() < rules.probes.get() as usize;
                if free { Ok((rest.reserve(word, now), None)) } else { Err(rest.wait_for_probe(rules, now)) }
            }
            State::Ramping => {
                let since = now.saturating_duration_since(rest.closed_at);
                match rules.ramped(since) {
                    None => Ok((Ticket::of(self.ramped(rest, now)), Some(Change::Ramped))),
                    Some(share) if rest.ramp_passes(share) => Ok((Ticket::of(word), None)),
                    Some(_) => Err(rules.ramp.unwrap_or_default().saturating_sub(since)),
                }
            }
        }
    }

    fn settle_probe(
        &self,
        rules: &Rules,
        generation: u32,
        probe: NonZeroU32,
        verdict: Verdict,
        hint: Option<Duration>,
        now: Instant,
    ) -> Option<Change> {
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let word = self.load();
        if word.generation != generation {
            return None;
        }
        rest.probes.retain(|(held, _)| *held != probe);
        match verdict {
            Verdict::Neutral => None,
            Verdict::Failure | Verdict::Soft => {
                rest.told(hint, now);
                Some(self.open(rest, rules, word, now))
            }
            Verdict::Success => {
                rest.successes = rest.successes.saturating_add(1);
                (rest.successes >= rules.successes.get()).then(|| self.close(rest, rules, word, now))
            }
        }
    }

    /// A success while closed.
    fn succeeded(&self, rules: &Rules, generation: u32, lane: usize, now: impl FnOnce() -> Instant) {
        let word = self.load();
        if word.generation != generation || !word.counts() {
            return;
        }
        if word.run != 0 {
            self.end_run(generation);
        }
        if let Some(ratio) = &rules.failures {
            self.well.record(lane, generation, self.bucket(ratio.span, now()));
        }
    }

    #[cold]
    fn end_run(&self, generation: u32) {
        let end = |bits| {
            let word = Word::unpack(bits);
            (word.generation == generation && word.run != 0).then(|| Word { run: 0, ..word }.pack())
        };
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, end);
    }

    fn failed(&self, rules: &Rules, generation: u32, hint: Option<Duration>, now: Instant) -> Option<Change> {
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let count = |bits| {
            let word = Word::unpack(bits);
            (word.generation == generation && word.counts()).then(|| Word { run: word.run.saturating_add(1), ..word }.pack())
        };
        let before = Word::unpack(self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, count).ok()?);
        if before.run == 0 {
            rest.run_began = now;
        }
        rest.told(hint, now);
        let in_a_row = rules.consecutive.is_some_and(|most| before.run >= most.get() - 1);
        let in_window = rules.window.is_some_and(|(most, span)| rest.window.record(self.bucket(span, now)) >= most.get());
        let share = rules.failures.is_some_and(|ratio| {
            let number = self.bucket(ratio.span, now);
            ratio.is_met(rest.failures.record(number).into(), self.well.sum(generation, number))
        });
        (in_a_row || in_window || share).then(|| self.trip(rest, rules, before, now))
    }

    /// Nanoseconds since it began.
    #[inline]
    pub(crate) fn age(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.began))
    }

    #[inline]
    fn bucket(&self, span: Span, now: Instant) -> u64 {
        span.bucket(self.age(now))
    }

    #[inline]
    fn load(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

impl Ticket {
    const fn of(word: Word) -> Self {
        Self { generation: word.generation, probe: None }
    }

    #[inline]
    pub(crate) const fn is_probe(self) -> bool {
        self.probe.is_some()
    }
}

#[cfg(test)]
mod model;
#[cfg(all(test, towline_loom))]
mod races;
#[cfg(test)]
mod tests;
