//! How a circuit changes its state. Everything here happens under its lock.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    circuit::{Change, Circuit, rest::Rest},
    rules::{RECOVERED, Rules},
    sync::Ordering,
    word::{State, Word},
};

impl Circuit {
    /// Opens it because of failures, or of slowness, while it was closed.
    pub(super) fn trip(&self, rest: &mut Rest, rules: &Rules, word: Word, now: Instant) -> Change {
        // Slowness opens it without a run.
        let trouble_began = if word.run == 0 { now } else { rest.run_began };
        if trouble_began.saturating_duration_since(rest.closed_at) >= RECOVERED {
            rest.openings = 0;
        }
        self.open(rest, rules, word, now)
    }

    pub(super) fn open(&self, rest: &mut Rest, rules: &Rules, word: Word, now: Instant) -> Change {
        let asked = rest.not_before.map_or(Duration::ZERO, |then| then.saturating_duration_since(now));
        let retry_after = rules.open_time(rest.openings).max(asked);
        rest.open_until = now + retry_after;
        rest.openings = rest.openings.saturating_add(1);
        self.enter(rest, word.next(State::Open), now);
        Change::Opened { retry_after }
    }

    pub(super) fn half_open(&self, rest: &mut Rest, word: Word, now: Instant) -> Word {
        rest.half_opened();
        self.enter(rest, word.next(State::HalfOpen), now)
    }

    pub(super) fn close(&self, rest: &mut Rest, rules: &Rules, word: Word, now: Instant) -> Change {
        let (state, change) =
            if rules.ramp.is_some() { (State::Ramping, Change::Ramping) } else { (State::Closed, Change::Closed) };
        self.count_anew(rest, rules, word.next(state), now);
        change
    }

    /// The end of a ramp. The generation stays: what it let through counts on.
    pub(super) fn ramped(&self, rest: &mut Rest, now: Instant) -> Word {
        rest.since = now;
        let closed = |bits| Some(Word { state: State::Closed, ..Word::unpack(bits) }.pack());
        // A success may end a run meanwhile, so this is no store.
        match self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, closed) {
            Ok(bits) | Err(bits) => Word { state: State::Closed, ..Word::unpack(bits) },
        }
    }

    /// Opens or closes it for good, until it is reset.
    pub(crate) fn force(&self, rules: &Rules, open: bool, now: Instant) -> Option<Change> {
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let word = self.load();
        let (state, change) = if open {
            (State::ForcedOpen, Change::ForcedOpen { retry_after: rules.open.1 })
        } else {
            (State::ForcedClosed, Change::ForcedClosed)
        };
        (word.state != state).then(|| {
            self.enter(rest, word.next(state), now);
            change
        })
    }

    /// Closes it as if it were new, whatever it was told.
    pub(crate) fn reset(&self, rules: &Rules, now: Instant) -> Option<Change> {
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        let word = self.load();
        rest.openings = 0;
        rest.not_before = None;
        self.count_anew(rest, rules, word.next(State::Closed), now);
        (word.state != State::Closed).then_some(Change::Closed)
    }

    fn count_anew(&self, rest: &mut Rest, rules: &Rules, next: Word, now: Instant) {
        rest.closed(now);
        let (well, quick) = (rules.failures, rules.slow.map(|(_, ratio)| ratio));
        for (rings, ratio) in [(Some(&self.well), well), (self.quick.as_deref(), quick)] {
            if let (Some(rings), Some(ratio)) = (rings, ratio) {
                rings.begin(next.generation, self.bucket(ratio.span, now));
            }
        }
        self.enter(rest, next, now);
    }

    fn enter(&self, rest: &mut Rest, next: Word, now: Instant) -> Word {
        rest.since = now;
        // No store: whatever a success does meanwhile comes before this, or sees it.
        self.word.swap(next.pack(), Ordering::AcqRel);
        next
    }
}
