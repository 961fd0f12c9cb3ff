//! The circuit itself: a pure state machine over `now`. It knows neither HTTP nor tasks, and changes only when it is asked.
//!
//! ```text
//!            a trip rule holds                  the open time is over, and somebody asks
//!   Closed ---------------------> Open ------------------------------------------> HalfOpen
//!     ^                             ^                                               |   |
//!     |                             +--------------- a probe fails -----------------+   |
//!     +------------------------------ enough probes succeed ----------------------------+
//! ```
//!
//! A closed circuit is one atomic word: to be let in is a load, a success is a load too unless there is a run of failures
//! to end. Failures, and all that happens while it is not closed, take a short lock. Under the lock the word's state and
//! generation are stable; without it only a success may end a run, by compare-and-swap.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    CircuitState, Verdict,
    rules::{LONGEST_HINT, RECOVERED, Rules},
    window::Window,
    word::{State, Word},
};

pub(crate) struct Circuit {
    word: AtomicU64,
    rest: Mutex<Rest>,
}

/// What a request that was let in has to show when its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ticket {
    generation: u32,
    /// The place that it holds, if it is a probe.
    probe: Option<u32>,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { retry_after: Duration },
    HalfOpened,
    Closed,
}

struct Rest {
    window: Option<Window>,
    /// When the present run of failures began.
    run_began: Instant,
    closed_at: Instant,
    /// How often it has opened without a recovery in between.
    openings: u32,
    open_until: Instant,
    /// The latest time that the provider itself asked for.
    not_before: Option<Instant>,
    /// The places that probes hold, and since when.
    probes: Vec<(u32, Instant)>,
    last_probe: u32,
    successes: u32,
}

impl Circuit {
    pub(crate) fn new(rules: &Rules, now: Instant) -> Self {
        let rest = Rest {
            window: rules.window.map(|(_, length)| Window::new(length, now)),
            run_began: now,
            closed_at: now,
            openings: 0,
            open_until: now,
            not_before: None,
            probes: Vec::new(),
            last_probe: 0,
            successes: 0,
        };
        Self { word: AtomicU64::new(Word::CLOSED.pack()), rest: Mutex::new(rest) }
    }

    /// Lets a request in, or says how long to stay away.
    pub(crate) fn admit(&self, rules: &Rules, now: Instant) -> Result<(Ticket, Option<Change>), Duration> {
        let word = self.load();
        if word.state == State::Closed { Ok((Ticket::of(word), None)) } else { self.probe(rules, now) }
    }

    /// Takes notice of an outcome, with what the provider told about time. A ticket of another generation changes nothing.
    pub(crate) fn settle(
        &self,
        rules: &Rules,
        ticket: Ticket,
        verdict: Verdict,
        hint: Option<Duration>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Change> {
        match (ticket.probe, verdict) {
            (Some(probe), _) => self.settle_probe(rules, ticket.generation, probe, verdict, hint, now()),
            (None, Verdict::Success) => {
                self.end_run(ticket.generation);
                None
            }
            (None, Verdict::Failure) => self.failed(rules, ticket.generation, hint, now()),
            (None, Verdict::Soft | Verdict::Neutral) => None,
        }
    }

    /// The state that a request would meet at `now`.
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        let rest = self.rest.lock();
        match self.load().state {
            State::Closed => CircuitState::Closed,
            State::Open if now < rest.open_until => CircuitState::Open { retry_after: rest.open_until - now },
            State::Open | State::HalfOpen => CircuitState::HalfOpen,
        }
    }

    fn probe(&self, rules: &Rules, now: Instant) -> Result<(Ticket, Option<Change>), Duration> {
        let mut rest = self.rest.lock();
        let word = self.load();
        match word.state {
            State::Closed => Ok((Ticket::of(word), None)),
            State::Open if now < rest.open_until => Err(rest.open_until - now),
            State::Open => {
                let word = self.enter(word, State::HalfOpen);
                rest.probes.clear();
                rest.successes = 0;
                Ok((rest.reserve(word, now), Some(Change::HalfOpened)))
            }
            State::HalfOpen => {
                rest.probes.retain(|(_, since)| now.saturating_duration_since(*since) < rules.probe_deadline);
                if rest.probes.len() < rules.probes.get() as usize {
                    Ok((rest.reserve(word, now), None))
                } else {
                    Err(rest.wait_for_probe(rules, now))
                }
            }
        }
    }

    fn settle_probe(
        &self,
        rules: &Rules,
        generation: u32,
        probe: u32,
        verdict: Verdict,
        hint: Option<Duration>,
        now: Instant,
    ) -> Option<Change> {
        let mut rest = self.rest.lock();
        let word = self.load();
        if word.generation != generation {
            return None;
        }
        rest.probes.retain(|(held, _)| *held != probe);
        match verdict {
            Verdict::Neutral => None,
            Verdict::Failure | Verdict::Soft => {
                rest.told(hint, now);
                Some(self.open(&mut rest, rules, word, now))
            }
            Verdict::Success => {
                rest.successes = rest.successes.saturating_add(1);
                (rest.successes >= rules.successes.get()).then(|| self.close(&mut rest, word, now))
            }
        }
    }

    /// A success while closed: writes only if there is a run to end.
    fn end_run(&self, generation: u32) {
        let mut bits = self.word.load(Ordering::Acquire);
        loop {
            let word = Word::unpack(bits);
            if word.generation != generation || word.run == 0 {
                return;
            }
            match self.word.compare_exchange_weak(bits, Word { run: 0, ..word }.pack(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(newer) => bits = newer,
            }
        }
    }

    fn failed(&self, rules: &Rules, generation: u32, hint: Option<Duration>, now: Instant) -> Option<Change> {
        let mut rest = self.rest.lock();
        let count = |bits| {
            let word = Word::unpack(bits);
            (word.generation == generation).then(|| Word { run: word.run.saturating_add(1), ..word }.pack())
        };
        let before = Word::unpack(self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, count).ok()?);
        if before.run == 0 {
            rest.run_began = now;
        }
        rest.told(hint, now);
        let lately = rest.window.as_mut().map_or(0, |window| window.record(now));
        let tripped = rules.consecutive.is_some_and(|most| before.run >= most.get() - 1)
            || rules.window.is_some_and(|(most, _)| lately >= most.get());
        tripped.then(|| {
            if rest.run_began.saturating_duration_since(rest.closed_at) >= RECOVERED {
                rest.openings = 0;
            }
            self.open(&mut rest, rules, before, now)
        })
    }

    fn open(&self, rest: &mut Rest, rules: &Rules, word: Word, now: Instant) -> Change {
        let asked = rest.not_before.map_or(Duration::ZERO, |then| then.saturating_duration_since(now));
        let retry_after = rules.open_time(rest.openings).max(asked);
        rest.open_until = now + retry_after;
        rest.openings = rest.openings.saturating_add(1);
        self.enter(word, State::Open);
        Change::Opened { retry_after }
    }

    fn close(&self, rest: &mut Rest, word: Word, now: Instant) -> Change {
        rest.closed_at = now;
        if let Some(window) = &mut rest.window {
            window.clear();
        }
        self.enter(word, State::Closed);
        Change::Closed
    }

    /// Begins the next generation. Only called under the lock.
    fn enter(&self, word: Word, state: State) -> Word {
        let next = word.next(state);
        self.word.store(next.pack(), Ordering::Release);
        next
    }

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

    pub(crate) const fn is_probe(self) -> bool {
        self.probe.is_some()
    }
}

impl Rest {
    /// A place for a probe.
    fn reserve(&mut self, word: Word, now: Instant) -> Ticket {
        self.last_probe = self.last_probe.wrapping_add(1);
        self.probes.push((self.last_probe, now));
        Ticket { generation: word.generation, probe: Some(self.last_probe) }
    }

    /// Nobody knows when a probe ends: after the first open time, say, but no later than its place is free.
    fn wait_for_probe(&self, rules: &Rules, now: Instant) -> Duration {
        let left = |since: Instant| rules.probe_deadline.saturating_sub(now.saturating_duration_since(since));
        self.probes.iter().map(|(_, since)| left(*since)).min().unwrap_or_default().min(rules.open.0)
    }

    fn told(&mut self, hint: Option<Duration>, now: Instant) {
        self.not_before = self.not_before.max(hint.map(|wait| now + wait.min(LONGEST_HINT)));
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
