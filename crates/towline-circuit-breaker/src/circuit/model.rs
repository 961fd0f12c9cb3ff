//! A circuit as one would write it who cares for nothing but to be understood: all that happened is kept and read again.

use std::time::Duration;

use tokio::time::Instant;

use super::Change;
use crate::{CircuitState, Verdict, rules::Rules};

pub(super) struct Model {
    rules: Rules,
    began: Instant,
    phase: Phase,
    epoch: usize,
    permits: usize,
    openings: u32,
    closed_at: Instant,
    hints: Vec<Instant>,
}

enum Phase {
    Closed { results: Vec<(bool, Instant)> },
    Open { until: Instant },
    HalfOpen { held: Vec<(usize, Instant)>, successes: u32 },
}

#[derive(Debug)]
pub(super) enum Permit {
    Plain { epoch: usize },
    Probe { epoch: usize, number: usize },
}

impl Permit {
    pub(super) fn is_probe(&self) -> bool {
        matches!(self, Self::Probe { .. })
    }
}

impl Model {
    pub(super) fn new(rules: Rules, now: Instant) -> Self {
        let phase = Phase::Closed { results: Vec::new() };
        Self { rules, began: now, phase, epoch: 0, permits: 0, openings: 0, closed_at: now, hints: Vec::new() }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { until } if until > now => CircuitState::Open { retry_after: until - now },
            _ => CircuitState::HalfOpen,
        }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<(Permit, Option<Change>), Duration> {
        let mut change = None;
        if let Phase::Open { until } = self.phase {
            if until > now {
                return Err(until - now);
            }
            self.enter(Phase::HalfOpen { held: Vec::new(), successes: 0 });
            change = Some(Change::HalfOpened);
        }
        let epoch = self.epoch;
        let Phase::HalfOpen { held, .. } = &mut self.phase else { return Ok((Permit::Plain { epoch }, change)) };
        let deadline = self.rules.probe_deadline;
        held.retain(|(_, since)| *since + deadline > now);
        if held.len() == self.rules.probes.get() as usize {
            let first = held.iter().map(|(_, since)| *since + deadline - now).min().unwrap();
            return Err(first.min(self.rules.open.0));
        }
        self.permits += 1;
        held.push((self.permits, now));
        Ok((Permit::Probe { epoch, number: self.permits }, change))
    }

    pub(super) fn settle(&mut self, permit: &Permit, verdict: Verdict, hint: Option<Duration>, now: Instant) -> Option<Change> {
        let (Permit::Plain { epoch } | Permit::Probe { epoch, .. }) = permit;
        if *epoch != self.epoch {
            return None;
        }
        let bad = verdict == Verdict::Failure || (verdict == Verdict::Soft && permit.is_probe());
        if let Some(hint) = hint
            && bad
        {
            self.hints.push(now + hint.min(Duration::from_secs(300)));
        }
        match &mut self.phase {
            Phase::Closed { results } => {
                if matches!(verdict, Verdict::Success | Verdict::Failure) {
                    results.push((bad, now));
                }
                (bad && self.trips(now)).then(|| self.open(now))
            }
            Phase::HalfOpen { held, successes } => {
                if let Permit::Probe { number, .. } = permit {
                    held.retain(|(held, _)| held != number);
                }
                *successes += u32::from(verdict == Verdict::Success);
                if bad {
                    return Some(self.open(now));
                }
                (*successes == self.rules.successes.get()).then(|| self.close(now))
            }
            Phase::Open { .. } => unreachable!("no permit is of an open circuit's epoch"),
        }
    }

    fn trips(&mut self, now: Instant) -> bool {
        let Phase::Closed { results } = &self.phase else { return false };
        let run: Vec<Instant> = results.iter().rev().take_while(|(bad, _)| *bad).map(|(_, at)| *at).collect();
        let in_a_row = self.rules.consecutive.is_some_and(|most| run.len() >= most.get() as usize);
        let lately = self.rules.window.is_some_and(|(most, length)| {
            let bucket = |at: Instant| (at - self.began).as_nanos() / (length / 12).as_nanos();
            let count = results.iter().filter(|(bad, at)| *bad && bucket(*at) + 12 > bucket(now)).count();
            count >= most.get() as usize
        });
        if (in_a_row || lately) && run.last().is_some_and(|began| *began - self.closed_at >= Duration::from_secs(60)) {
            self.openings = 0;
        }
        in_a_row || lately
    }

    fn open(&mut self, now: Instant) -> Change {
        let (mut time, longest) = self.rules.open;
        for _ in 0..self.openings {
            time = (time * 2).min(longest);
        }
        let until = self.hints.iter().copied().chain([now + time + self.rules.jitter.up_to(time / 2)]).max().unwrap();
        self.openings += 1;
        self.enter(Phase::Open { until });
        Change::Opened { retry_after: until - now }
    }

    fn close(&mut self, now: Instant) -> Change {
        self.closed_at = now;
        self.enter(Phase::Closed { results: Vec::new() });
        Change::Closed
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}
