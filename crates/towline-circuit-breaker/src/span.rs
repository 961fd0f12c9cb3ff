//! A length of time that slides, in twelve steps.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

/// How many buckets a window has.
pub(crate) const BUCKETS: u64 = 12;

/// The length of a window. It covers the present, still growing bucket and the eleven before it, so between 11/12 and the
/// whole of its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Nanoseconds.
    bucket: NonZeroU64,
}

/// A share of bad ones among all within a time, from which on the circuit opens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    /// The share in millionths: a half, a third and 7 % are met at exactly that many.
    pub(crate) millionths: u32,
    pub(crate) span: Span,
    /// With fewer samples than that it says nothing.
    pub(crate) samples: NonZeroU32,
}

impl Span {
    pub(crate) fn new(length: Duration) -> Self {
        Self { bucket: NonZeroU64::new(nanos(length) / BUCKETS).unwrap_or(NonZeroU64::MIN) }
    }

    /// As it was told, to the microsecond: its steps are of whole nanoseconds.
    pub(crate) const fn length(self) -> Duration {
        Duration::from_micros(self.bucket.get().saturating_mul(BUCKETS).div_ceil(1000))
    }

    /// The number of the bucket that lies so many nanoseconds after the first one's beginning.
    #[inline]
    pub(crate) fn bucket(self, since: u64) -> u64 {
        since / self.bucket
    }
}

impl Ratio {
    pub(crate) fn is_met(&self, bad: u64, good: u64) -> bool {
        let all = bad.saturating_add(good);
        all >= u64::from(self.samples.get()) && u128::from(bad) * 1_000_000 >= u128::from(all) * u128::from(self.millionths)
    }
}

/// Up to 584 years.
#[inline]
pub(crate) const fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_met_at_exactly_its_share_and_not_below_its_samples() {
        let ratio = |millionths, samples| Ratio {
            millionths,
            span: Span::new(Duration::from_secs(60)),
            samples: NonZeroU32::new(samples).unwrap(),
        };
        for (millionths, bad, good, met) in [
            (500_000, 5, 5, true),
            (500_000, 5, 6, false),
            (500_000, 4, 5, false), // Too few.
            (100_000, 3, 27, true), // In floating point, a tenth of 30 is more than 3.
            (333_333, 10, 20, true),
            (1_000_000, 10, 0, true),
            (1_000_000, 1000, 1, false),
            (1, 0, 1000, false),
            (500_000, u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(ratio(millionths, 10).is_met(bad, good), met, "{bad} of {good} and {bad}: {millionths}");
        }
        assert!(ratio(500_000, 1).is_met(1, 0));
        assert!(!ratio(500_000, 1).is_met(0, 0));
    }

    #[test]
    fn the_bounds_of_time_do_no_harm() {
        for length in [Duration::ZERO, Duration::from_nanos(13), Duration::from_secs(86_400), Duration::MAX] {
            for since in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                let _ = Span::new(length).bucket(nanos(since));
            }
        }
        assert_eq!(Span::new(Duration::from_secs(60)).bucket(nanos(Duration::from_millis(59_999))), 11);
    }
}
