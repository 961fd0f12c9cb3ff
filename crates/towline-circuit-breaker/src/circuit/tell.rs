//! What a circuit tells of itself.

use tokio::time::Instant;

use crate::{
    CircuitState, CircuitStatus,
    circuit::{Circuit, rest::Rest},
    rules::{ALL, Rules},
    word::State,
};

impl Circuit {
    /// The state that a request would meet at `now`.
    pub(crate) fn state(&self, rules: &Rules, now: Instant) -> CircuitState {
        self.state_with(self.rest.lock().get(self.began), rules, now)
    }

    /// All that there is to tell.
    pub(crate) fn status(&self, rules: &Rules, now: Instant) -> CircuitStatus {
        let mut rest = self.rest.lock();
        let rest = rest.get(self.began);
        rest.expire(rules, now);
        let word = self.load();
        let bucket = |span| self.bucket(span, now);
        let (failures, successes) = match (rules.failures, rules.window) {
            (Some(ratio), _) => (rest.failures.sum(bucket(ratio.span)), self.well.sum(word.generation, bucket(ratio.span))),
            (None, Some((_, span))) => (rest.window.sum(bucket(span)), 0),
            (None, None) => (0, 0),
        };
        let (failures, successes) = if word.counts() { (failures, successes) } else { (0, 0) };
        CircuitStatus {
            state: self.state_with(rest, rules, now),
            lasted: now.saturating_duration_since(rest.since),
            failures_in_a_row: word.run,
            failures,
            successes,
            probes: if word.state == State::HalfOpen { rest.probes.len() } else { 0 },
            openings: rest.openings,
            refused: rest.refused,
        }
    }

    fn state_with(&self, rest: &Rest, rules: &Rules, now: Instant) -> CircuitState {
        match self.load().state {
            State::Closed => CircuitState::Closed,
            State::Open if now < rest.open_until => CircuitState::Open { retry_after: rest.open_until - now },
            State::Open | State::HalfOpen => CircuitState::HalfOpen,
            State::Ramping => match rules.ramped(now.saturating_duration_since(rest.closed_at)) {
                Some(share) => CircuitState::Ramping { percent: (u64::from(share) * 100 / u64::from(ALL)) as u8 },
                None => CircuitState::Closed,
            },
            State::ForcedOpen => CircuitState::ForcedOpen,
            State::ForcedClosed => CircuitState::ForcedClosed,
        }
    }
}
