//! Chance, seedable.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A source of random waits, shared by its clones. It is asked on failures only, so a short lock is all it needs.
#[derive(Clone)]
pub struct Jitter(Arc<Mutex<SmallRng>>);

impl Jitter {
    /// Seeded by the operating system. Where that fails, by a fixed seed: a poor jitter is better than none.
    #[must_use]
    pub fn new() -> Self {
        Self::from_rng(SmallRng::try_from_rng(&mut rand::rngs::SysRng).unwrap_or_else(|_| SmallRng::seed_from_u64(0)))
    }

    /// Seeded by `seed`: the same waits in the same order each time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::from_rng(SmallRng::seed_from_u64(seed))
    }

    /// A wait between zero and `most`, both included, each as likely as the other.
    #[must_use]
    pub fn up_to(&self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.0.lock().random_range(0..=nanos))
    }

    fn from_rng(rng: SmallRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_waits_and_all_lie_within_the_bound() {
        let (one, two) = (Jitter::seeded(7), Jitter::seeded(7));
        let most = Duration::from_millis(500);
        let waits: Vec<_> = (0..1000).map(|_| one.up_to(most)).collect();
        assert!(waits.iter().all(|w| *w <= most && two.up_to(most) == *w));
        assert!(waits.iter().min() < Some(&Duration::from_millis(5)) && waits.iter().max() > Some(&Duration::from_millis(495)));
    }

    #[test]
    fn the_bounds_of_time_do_no_harm() {
        assert_eq!(Jitter::new().up_to(Duration::ZERO), Duration::ZERO);
        let _ = Jitter::new().up_to(Duration::MAX);
    }
}
