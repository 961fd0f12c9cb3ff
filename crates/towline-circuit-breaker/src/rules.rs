//! The numbers that a circuit goes by.

use std::{num::NonZeroU32, time::Duration};

use towline_core::Jitter;

/// How long a circuit must have been closed and without a failure before the next opening counts as a first one again.
pub(crate) const RECOVERED: Duration = Duration::from_secs(60);
/// The longest wait of a provider that is obeyed.
pub(crate) const LONGEST_HINT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Failures in a row that open the circuit.
    pub(crate) consecutive: Option<NonZeroU32>,
    /// Failures within a time that open the circuit.
    pub(crate) window: Option<(NonZeroU32, Duration)>,
    /// The first open time, and the longest.
    pub(crate) open: (Duration, Duration),
    /// Probes under way at once.
    pub(crate) probes: NonZeroU32,
    /// Probes that must succeed.
    pub(crate) successes: NonZeroU32,
    /// How long a probe keeps its place.
    pub(crate) probe_deadline: Duration,
    pub(crate) jitter: Jitter,
}

impl Rules {
    /// How long the circuit stays open the `nth` time without a recovery in between, from 0.
    ///
    /// The jitter comes on top of the cap, so that clients whose open time has reached it do not all come back at once.
    pub(crate) fn open_time(&self, nth: u32) -> Duration {
        let (first, longest) = self.open;
        let time = first.saturating_mul(1_u32.checked_shl(nth).unwrap_or(u32::MAX)).min(longest);
        time + self.jitter.up_to(time / 2)
    }

    /// The longest that the circuit can stay open.
    pub(crate) fn longest_open(&self) -> Duration {
        (self.open.1 + self.open.1 / 2).max(LONGEST_HINT)
    }
}

impl Default for Rules {
    fn default() -> Self {
        let (one, two, five) = (NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1), NonZeroU32::MIN.saturating_add(4));
        Self {
            consecutive: Some(five),
            window: None,
            open: (Duration::from_secs(5), Duration::from_secs(60)),
            probes: one,
            successes: two,
            probe_deadline: Duration::from_secs(60),
            jitter: Jitter::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_time_doubles_up_to_the_cap_and_jitter_survives_it() {
        let rules = Rules { jitter: Jitter::seeded(1), ..Rules::default() };
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
}
