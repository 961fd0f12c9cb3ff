//! The numbers that a circuit goes by.

use std::{num::NonZeroU32, time::Duration};

use towline_core::Jitter;

use crate::span::{Ratio, Span};

/// How long a circuit must have been closed and without a failure before the next opening counts as a first one again.
pub(crate) const RECOVERED: Duration = Duration::from_secs(60);
/// The longest wait of a provider that is obeyed.
pub(crate) const LONGEST_HINT: Duration = Duration::from_secs(300);
/// The share of requests with which a ramp begins, in millionths.
pub(crate) const RAMP_BEGINS: u32 = 100_000;
/// All requests, in millionths.
pub(crate) const ALL: u32 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Failures in a row that open the circuit.
    pub(crate) consecutive: Option<NonZeroU32>,
    /// Failures within a time that open the circuit.
    pub(crate) window: Option<(NonZeroU32, Span)>,
    /// The share of failures that opens the circuit.
    pub(crate) failures: Option<Ratio>,
    /// The share of those whose first content took longer than that.
    pub(crate) slow: Option<(Duration, Ratio)>,
    /// The first open time, and the longest.
    pub(crate) open: (Duration, Duration),
    /// Probes under way at once.
    pub(crate) probes: NonZeroU32,
    /// Probes that must succeed.
    pub(crate) successes: NonZeroU32,
    /// How long a probe keeps its place.
    pub(crate) probe_deadline: Duration,
    /// How long it takes, once closed, until everything is let through.
    pub(crate) ramp: Option<Duration>,
    pub(crate) jitter: Jitter,
}

impl Rules {
    /// Whether any rule opens the circuit.
    pub(crate) const fn can_open(&self) -> bool {
        self.consecutive.is_some() || self.window.is_some() || self.failures.is_some() || self.slow.is_some()
    }

    /// How long the circuit stays open the `nth` time without a recovery in between, from 0.
    ///
    /// The jitter comes on top of the cap, so that clients whose open time has reached it do not all come back at once.
    pub(crate) fn open_time(&self, nth: u32) -> Duration {
        let (first, longest) = self.open;
        let time = first.saturating_mul(1_u32.checked_shl(nth).unwrap_or(u32::MAX)).min(longest);
        time + self.jitter.up_to(time / 2)
    }

    /// The share of requests that are let through so long after closing, in millionths; `None` is all of them.
    pub(crate) fn ramped(&self, since: Duration) -> Option<u32> {
        let ramp = self.ramp.filter(|ramp| since < *ramp)?;
        let grown = since.as_nanos() * u128::from(ALL - RAMP_BEGINS) / ramp.as_nanos().max(1);
        Some(RAMP_BEGINS.saturating_add(u32::try_from(grown).unwrap_or(ALL)).min(ALL))
    }

    /// The longest that the circuit can stay open.
    pub(crate) fn longest_open(&self) -> Duration {
        (self.open.1 + self.open.1 / 2).max(LONGEST_HINT)
    }
}

impl Default for Rules {
    fn default() -> Self {
        let n = |n: u32| NonZeroU32::MIN.saturating_add(n - 1);
        let minute = Span::new(Duration::from_secs(60));
        Self {
            consecutive: Some(n(5)),
            window: None,
            failures: Some(Ratio { millionths: ALL / 2, span: minute, samples: n(10) }),
            slow: None,
            open: (Duration::from_secs(5), Duration::from_secs(10)),
            probes: n(1),
            successes: n(2),
            probe_deadline: Duration::from_secs(60),
            ramp: None,
            jitter: Jitter::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_time_doubles_up_to_the_cap_and_jitter_survives_it() {
        let open = (Duration::from_secs(5), Duration::from_secs(60));
        let rules = Rules { jitter: Jitter::seeded(1), open, ..Rules::default() };
        for (nth, least) in
            [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (31, 60), (32, 60), (1_000_000, 60), (u32::MAX, 60)]
        {
            let least = Duration::from_secs(least);
            let times: Vec<_> = (0..100).map(|_| rules.open_time(nth)).collect();
            assert!(times.iter().all(|t| *t >= least && *t <= least + least / 2), "{nth}: {times:?}");
            let spread = *times.iter().max().unwrap() - *times.iter().min().unwrap();
            assert!(spread > least / 3, "{nth}: {spread:?}");
        }
        assert_eq!(rules.longest_open(), LONGEST_HINT);
    }

    #[test]
    fn by_default_no_open_time_is_longer_than_a_quarter_of_a_minute() {
        let rules = Rules { jitter: Jitter::seeded(1), ..Rules::default() };
        assert!((0..100).all(|nth| rules.open_time(nth) <= Duration::from_secs(15)));
    }

    #[test]
    fn a_ramp_grows_from_a_tenth_to_all() {
        let rules = Rules { ramp: Some(Duration::from_secs(9)), ..Rules::default() };
        let percent = [0, 1, 4, 8, 9, 10, 1000].map(|at| rules.ramped(Duration::from_secs(at)).map(|share| share / 10_000));
        assert_eq!(percent, [Some(10), Some(20), Some(50), Some(90), None, None, None]);
        assert_eq!(Rules::default().ramped(Duration::ZERO), None);
    }
}
