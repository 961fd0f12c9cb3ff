//! Charging a request: most pass at once, and of those most in the one dimension that is limited.
//!
//! What is rare stands in functions of its own, so that what is frequent is short enough to be compiled into its two callers.

use tokio::time::Instant;

use super::{Books, Charge};
use crate::{Dimension, bucket::Bucket, cost::Cost};

impl Books {
    /// The dimension whose whole limit a request exceeds, so that it could never pass.
    #[inline]
    pub(crate) fn exceeded_by(&self, cost: Cost) -> Option<(Dimension, u64)> {
        if self.counts_tokens { self.exceeded(cost) } else { None }
    }

    #[inline(never)]
    fn exceeded(&self, cost: Cost) -> Option<(Dimension, u64)> {
        let exceeded = |(dimension, _): &(Dimension, Bucket)| {
            let limit = self.terms.limits.get(*dimension)?;
            (cost.of(*dimension) > limit).then_some((*dimension, limit))
        };
        self.buckets.iter().find_map(exceeded)
    }

    /// Charges a request that need not wait, since nobody does and it fits into every dimension.
    #[inline(always)]
    pub(crate) fn pass(&mut self, now: Instant, cost: Cost) -> Option<Charge> {
        let most = self.terms.limits.get(Dimension::Concurrency);
        if self.line.waiting > 0 || !self.pace.is_open(now) || most.is_some_and(|most| self.under_way >= most) {
            return None;
        }
        let shown = self.clock(now);
        let passes = match &mut self.buckets[..] {
            // Alone, it need not be asked first.
            [(dimension, bucket)] => bucket.pass(shown, cost.of(*dimension)),
            buckets => pass_all(buckets, shown, cost),
        };
        passes.then(|| self.charged(cost))
    }

    /// Charges a request in all dimensions. Ask first whether it has to wait.
    pub(crate) fn charge(&mut self, now: Instant, cost: Cost) -> Charge {
        let shown = self.clock(now);
        self.each().for_each(|(dimension, bucket)| bucket.take(shown, cost.of(dimension)));
        self.charged(cost)
    }

    /// The buckets have been charged.
    #[inline(always)]
    fn charged(&mut self, cost: Cost) -> Charge {
        self.requests = self.requests.wrapping_add(1);
        // Most often nothing, where only requests are limited.
        if cost != Cost::default() {
            self.sum = self.sum.plus(cost);
        }
        let nth = self.charges;
        self.charges = self.charges.wrapping_add(1);
        self.under_way = self.under_way.saturating_add(self.awaits_end.into());
        let (awaits_end, searches, reopens) = (self.awaits_end, self.searches(), std::mem::take(&mut self.closed));
        Charge { nth, cost, requests: self.requests, sum: self.sum, awaits_end, searches, reopens }
    }
}

/// Charges all or none.
#[inline(never)]
fn pass_all(buckets: &mut [(Dimension, Bucket)], shown: u64, cost: Cost) -> bool {
    let fits = buckets.iter_mut().all(|(dimension, bucket)| bucket.has(shown, cost.of(*dimension)));
    if fits {
        buckets.iter_mut().for_each(|(dimension, bucket)| bucket.take(shown, cost.of(*dimension)));
    }
    fits
}
