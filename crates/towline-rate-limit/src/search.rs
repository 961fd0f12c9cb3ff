//! Finding a limit that nobody knows: ever more by steps of one size, and a part less at each refusal.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use crate::{Dimension, books::Terms};

/// The requests a minute that are believed to be allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    found: u32,
    /// How many more there are at each rise.
    step: u32,
    rose: Instant,
}

/// How long to see whether what was found will do.
const PATIENCE: Duration = Duration::from_secs(6);

impl Search {
    pub(crate) fn of(terms: &Terms, now: Instant) -> Option<Self> {
        let start = terms.limits.get(Dimension::Requests).filter(|_| terms.find)?;
        let found = u32::try_from(start).unwrap_or(u32::MAX);
        Some(Self { found, step: (found / 10).max(1), rose: now })
    }

    /// One more step, if the last one was long enough ago.
    pub(crate) fn rises(&mut self, now: Instant) -> Option<NonZeroU32> {
        if now.saturating_duration_since(self.rose) < PATIENCE {
            return None;
        }
        self.rose = now;
        self.found = self.found.saturating_add(self.step);
        NonZeroU32::new(self.found)
    }

    /// Seven tenths, one at least.
    pub(crate) fn fell(&mut self) -> NonZeroU32 {
        let less = u64::from(self.found) * 7 / 10;
        self.found = u32::try_from(less).unwrap_or(u32::MAX).max(1);
        NonZeroU32::new(self.found).unwrap_or(NonZeroU32::MIN)
    }
}
