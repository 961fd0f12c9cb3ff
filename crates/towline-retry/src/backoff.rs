//! How long to wait, chance aside.

use std::time::Duration;

use towline_core::InvalidConfig;

/// Waits that double from `base` up to `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

/// The share of a hint that we add to it at most, as a divisor; a constant on top of that; and the most of both.
const HINT_SHARE: u32 = 10;
const HINT_PLUS: Duration = Duration::from_millis(250);
const HINT_MOST: Duration = Duration::from_secs(5);

impl Backoff {
    pub(crate) const TRANSIENT: Self = Self { base: Duration::from_millis(500), cap: Duration::from_secs(8) };
    pub(crate) const THROTTLED: Self = Self { base: Duration::from_secs(1), cap: Duration::from_secs(20) };

    /// `cap` may not be below `base`: that is what swapped arguments look like.
    pub(crate) fn new(base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        if base.is_zero() {
            return Err(InvalidConfig::new("base", "must be above zero, or nothing would slow the attempts down"));
        }
        if cap < base {
            return Err(InvalidConfig::new("cap", "must not be below the base"));
        }
        Ok(Self { base, cap })
    }

    /// The same waits from a base that is at most `base`.
    pub(crate) fn sooner(self, base: Duration) -> Self {
        Self { base: self.base.min(base), ..self }
    }

    /// The longest wait before the retry with this number, counted from 0: `min(cap, base * 2^retry)`.
    pub(crate) fn ceiling(self, retry: u32) -> Duration {
        // 2^32 and above is past any cap unless the base is below 2 ns; the cap is the answer either way.
        match 1_u32.checked_shl(retry) {
            Some(factor) => self.base.saturating_mul(factor).min(self.cap),
            None => self.cap,
        }
    }
}

/// How much may be added to a wait that the provider asked for, so that those who were told the same do not come back
/// together.
pub(crate) fn spread(hint: Duration) -> Duration {
    (hint / HINT_SHARE).saturating_add(HINT_PLUS).min(HINT_MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towline_core::Jitter;

    use super::*;

    /// Doubling, one step after the other.
    fn model(base: Duration, cap: Duration, retry: u32) -> Duration {
        let mut wait = base;
        for _ in 0..retry {
            if wait >= cap {
                break;
            }
            wait = wait.saturating_mul(2);
        }
        wait.min(cap)
    }

    proptest! {
        #[test]
        fn the_ceiling_doubles_up_to_its_cap(base in 1..100_000_u64, more in 0..1_000_000_u64, retry in 0..80_u32) {
            let (base, cap) = (Duration::from_millis(base), Duration::from_millis(base + more));
            prop_assert_eq!(Backoff::new(base, cap).unwrap().ceiling(retry), model(base, cap, retry));
        }

        #[test]
        fn a_hint_is_spread_by_a_tenth_and_a_quarter_second_up_to_five(ms in 0..10_000_000_u64) {
            let expected = (ms as f64 * 0.1 + 250.0).min(5000.0);
            prop_assert!((spread(Duration::from_millis(ms)).as_secs_f64() * 1000.0 - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn the_millionth_retry_overflows_nothing_and_is_still_random() {
        let jitter = Jitter::seeded(1);
        for backoff in [Backoff::TRANSIENT, Backoff::THROTTLED, Backoff::new(Duration::MAX, Duration::MAX).unwrap()] {
            for retry in [31, 32, 64, 1_000_000, u32::MAX] {
                assert_eq!(backoff.ceiling(retry), backoff.cap);
            }
            let waits: Vec<_> = (0..100).map(|_| jitter.up_to(backoff.ceiling(1_000_000))).collect();
            assert!(waits.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(waits.iter().all(|wait| *wait <= backoff.cap));
        }
        assert_eq!(spread(Duration::MAX), HINT_MOST);
    }

    #[test]
    fn waits_that_make_no_sense_are_refused_by_name() {
        assert_eq!(Backoff::new(Duration::ZERO, Duration::from_secs(1)).unwrap_err().field(), "base");
        assert_eq!(Backoff::new(Duration::from_secs(8), Duration::from_millis(500)).unwrap_err().field(), "cap");
    }
}
