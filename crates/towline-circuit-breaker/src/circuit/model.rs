//! A circuit as one would write it who cares for nothing but to be understood: all that happened is kept and read again.

use std::time::Duration;

use tokio::time::Instant;

use super::Change;
use crate::{CircuitState, Verdict, rules::Rules};

/// What the rules know only as buckets and millionths.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) window: Option<(u32, Duration)>,
    /// A share in percent, its window, and how many samples it needs.
    pub(super) failures: Option<(u32, Duration, u32)>,
    pub(super) slow: Option<(u32, Duration, u32)>,
}

pub(super) struct Model {
    rules: Rules,
    plain: Plain,
    began: Instant,
    phase: Phase,
    epoch: usize,
    permits: usize,
    openings: u32,
    closed_at: Instant,
    hints: Vec<Instant>,
    refused: u64,
}

enum Phase {
    Closed(Closed),
    Open { until: Instant },
    HalfOpen { held: Vec<(usize, Instant)>, successes: u32 },
    Forced { open: bool },
}

#[derive(Default)]
struct Closed {
    /// What was bad, and when.
    results: Vec<(bool, Instant)>,
    /// Which first content was slow, and when it came.
    contents: Vec<(bool, Instant)>,
    /// While it ramps: what the requests so far were worth, and how many were let through.
    ramp: Option<(f64, u64)>,
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

    fn epoch(&self) -> usize {
        let (Self::Plain { epoch } | Self::Probe { epoch, .. }) = self;
        *epoch
    }
}

impl Model {
    pub(super) fn new(rules: Rules, plain: Plain, now: Instant) -> Self {
        let phase = Phase::Closed(Closed::default());
        let (hints, closed_at) = (Vec::new(), now);
        Self { rules, plain, began: now, phase, epoch: 0, permits: 0, openings: 0, closed_at, hints, refused: 0 }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match &self.phase {
            Phase::Closed(Closed { ramp: Some(_), .. }) => match self.ramped(now) {
                Some(share) => CircuitState::Ramping { percent: (share * 100.0 + 1e-9) as u8 },
                None => CircuitState::Closed,
            },
            Phase::Closed(_) => CircuitState::Closed,
            Phase::Open { until } if *until > now => CircuitState::Open { retry_after: *until - now },
            Phase::Forced { open: true } => CircuitState::ForcedOpen,
            Phase::Forced { open: false } => CircuitState::ForcedClosed,
            _ => CircuitState::HalfOpen,
        }
    }

    /// Failures and successes that the failure ratio looks at, the run, and how many were refused.
    pub(super) fn counts(&self, now: Instant) -> (u32, u64, u32, u64) {
        let Phase::Closed(closed) = &self.phase else { return (0, 0, 0, self.refused) };
        let (bad, good) = self.plain.failures.map_or((0, 0), |(_, window, _)| self.lately(&closed.results, window, now));
        let only_count = self.plain.window.filter(|_| self.plain.failures.is_none());
        let bad = only_count.map_or(bad, |(_, window)| self.lately(&closed.results, window, now).0);
        (bad as u32, good, closed.run().len() as u32, self.refused)
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<(Permit, Option<Change>), Duration> {
        let admitted = self.decide(now);
        self.refused += u64::from(admitted.is_err());
        admitted
    }

    fn decide(&mut self, now: Instant) -> Result<(Permit, Option<Change>), Duration> {
        let mut change = None;
        if let Phase::Open { until } = self.phase {
            if until > now {
                return Err(until - now);
            }
            self.enter(Phase::HalfOpen { held: Vec::new(), successes: 0 });
            change = Some(Change::HalfOpened);
        }
        let (epoch, ramped) = (self.epoch, self.ramped(now));
        match &mut self.phase {
            Phase::Forced { open: true } => Err(self.rules.open.1),
            Phase::Closed(Closed { ramp: ramp @ Some(_), .. }) => {
                let Some(share) = ramped else {
                    *ramp = None;
                    return Ok((Permit::Plain { epoch }, Some(Change::Ramped)));
                };
                let (worth, passed) = ramp.as_mut().unwrap();
                *worth += share;
                // As many as the requests are worth, the first at once.
                if *worth + 0.9 + 1e-9 < (*passed + 1) as f64 {
                    return Err(self.rules.ramp.unwrap() - (now - self.closed_at));
                }
                *passed += 1;
                Ok((Permit::Plain { epoch }, None))
            }
            Phase::HalfOpen { held, .. } => {
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
            _ => Ok((Permit::Plain { epoch }, change)),
        }
    }

    pub(super) fn settle(&mut self, permit: &Permit, verdict: Verdict, hint: Option<Duration>, now: Instant) -> Option<Change> {
        let bad = verdict == Verdict::Failure || (verdict == Verdict::Soft && permit.is_probe());
        if permit.epoch() != self.epoch || matches!(self.phase, Phase::Forced { .. }) {
            return None;
        }
        if let Some(hint) = hint
            && bad
        {
            self.hints.push(now + hint.min(Duration::from_secs(300)));
        }
        match &mut self.phase {
            Phase::Closed(closed) => {
                if matches!(verdict, Verdict::Success | Verdict::Failure) {
                    closed.results.push((bad, now));
                }
                (bad && self.trips(now)).then(|| self.trip(now))
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
            Phase::Open { .. } | Phase::Forced { .. } => unreachable!("no permit is of an open circuit's epoch"),
        }
    }

    pub(super) fn content(&mut self, permit: &Permit, slow: bool, now: Instant) -> Option<Change> {
        let Phase::Closed(closed) = &mut self.phase else { return None };
        if permit.epoch() != self.epoch {
            return None;
        }
        closed.contents.push((slow, now));
        let Phase::Closed(closed) = &self.phase else { return None };
        (slow && self.is_met(self.plain.slow, &closed.contents, now)).then(|| self.trip(now))
    }

    pub(super) fn force(&mut self, open: bool) -> Option<Change> {
        if matches!(self.phase, Phase::Forced { open: already } if already == open) {
            return None;
        }
        self.enter(Phase::Forced { open });
        Some(if open { Change::ForcedOpen { retry_after: self.rules.open.1 } } else { Change::ForcedClosed })
    }

    pub(super) fn reset(&mut self, now: Instant) -> Option<Change> {
        let was_closed = matches!(self.phase, Phase::Closed(Closed { ramp: None, .. }));
        self.openings = 0;
        self.hints.clear();
        self.closed_at = now;
        self.enter(Phase::Closed(Closed::default()));
        (!was_closed).then_some(Change::Closed)
    }

    fn trips(&self, now: Instant) -> bool {
        let Phase::Closed(closed) = &self.phase else { return false };
        let in_a_row = self.rules.consecutive.is_some_and(|most| closed.run().len() >= most.get() as usize);
        let counted = |(most, window)| self.lately(&closed.results, window, now).0 >= u64::from(most);
        in_a_row || self.plain.window.is_some_and(counted) || self.is_met(self.plain.failures, &closed.results, now)
    }

    fn is_met(&self, ratio: Option<(u32, Duration, u32)>, all: &[(bool, Instant)], now: Instant) -> bool {
        ratio.is_some_and(|(percent, window, samples)| {
            let (bad, good) = self.lately(all, window, now);
            bad + good >= u64::from(samples) && bad * 100 >= (bad + good) * u64::from(percent)
        })
    }

    /// The bad and the good ones within a window of twelve buckets.
    fn lately(&self, all: &[(bool, Instant)], window: Duration, now: Instant) -> (u64, u64) {
        let bucket = |at: Instant| (at - self.began).as_nanos() / (window / 12).as_nanos();
        let lately: Vec<bool> = all.iter().filter(|(_, at)| bucket(*at) + 12 > bucket(now)).map(|(bad, _)| *bad).collect();
        let bad = lately.iter().filter(|bad| **bad).count() as u64;
        (bad, lately.len() as u64 - bad)
    }

    fn trip(&mut self, now: Instant) -> Change {
        let Phase::Closed(closed) = &self.phase else { unreachable!() };
        let trouble_began = closed.run().last().copied().unwrap_or(now);
        if trouble_began - self.closed_at >= Duration::from_secs(60) {
            self.openings = 0;
        }
        self.open(now)
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
        let ramp = self.rules.ramp.map(|_| (0.0, 0));
        self.enter(Phase::Closed(Closed { ramp, ..Closed::default() }));
        if ramp.is_some() { Change::Ramping } else { Change::Closed }
    }

    fn ramped(&self, now: Instant) -> Option<f64> {
        let (ramp, since) = (self.rules.ramp?, now - self.closed_at);
        // To a millionth, as the circuit counts.
        (since < ramp).then(|| ((0.1 + 0.9 * since.as_secs_f64() / ramp.as_secs_f64()) * 1e6 + 1e-3).floor() / 1e6)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

impl Closed {
    /// When the failures since the last success were, the latest first.
    fn run(&self) -> Vec<Instant> {
        self.results.iter().rev().take_while(|(bad, _)| *bad).map(|(_, at)| *at).collect()
    }
}
