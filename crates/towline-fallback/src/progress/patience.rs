//! What a call waits for, and what those beneath are told of it.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::{Call, FailureKind};

use super::Progress;
use crate::table;

impl<B, R> Progress<B, R> {
    /// Until when the hop under way must have begun its answer, so that another target still has a chance.
    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        let left = self.call.as_ref()?.remaining(self.began)?;
        let (config, at) = (&self.config, self.at?);
        (config.share < 1.0 && self.has_another(at)).then_some(())?;
        self.began.checked_add(left.mul_f64(config.share))
    }

    /// Whether another target waits while the one at `at` is asked.
    fn has_another(&self, at: usize) -> bool {
        let (config, past) = (&self.config, |other| other == at || self.hops.is_past(other));
        let left = config.targets.role(at).is_some_and(|role| config.targets.has_left(role, past));
        self.original.is_some() && self.hops.asked() + 1 < config.max_targets.get() && left
    }

    /// Tells the layers beneath, of which retry and limiter are more patient where no other target waits, and none is soon there.
    pub(super) fn tell_alternative(&self) {
        if let (Some(call), Some(at)) = (&self.call, self.at) {
            let waits = self.has_another(at) && !self.is_patient && self.config.spill.has_room();
            call.set_alternative(waits);
            let soonest = self.hops.soonest(|_| true).filter(|_| self.may_wait() && !waits);
            call.set_others_recover(soonest.map(|(at, _)| at));
        }
    }

    /// Whether it may be waited for a target that is kept back.
    fn may_wait(&self) -> bool {
        // One that ends in a refusal may have been asked before, by a retry beneath.
        let asked = self.hops.asked() > 0 || self.count(|kind| !table::is_refusal(kind)) > 0;
        !(self.waited || self.capped || asked || self.original.is_none() || self.config.recovery.is_zero())
    }

    /// The soonest of all targets to recover, where all were refused by layers of ours, and when to ask it.
    pub(super) fn recovery(&mut self, now: Instant) -> Option<(Instant, usize)> {
        if !self.may_wait() {
            return None;
        }
        let is_near = |(at, _): &(Instant, usize)| at.saturating_duration_since(now) <= self.config.recovery;
        let (until, at, is_patient) = match self.hops.soonest(|_| true).filter(is_near) {
            Some((recovers, at)) => {
                let wait = recovers.saturating_duration_since(now);
                // All who wait were told the same instant; chance spreads them.
                (recovers.checked_add(self.config.jitter.up_to((wait / 10).min(SPREAD)))?, at, false)
            }
            // A limiter has a line of its own, in which it is waited longer.
            None => {
                let (recovers, at) = self.hops.soonest(|kind| kind == FailureKind::LimitedLocally)?;
                (recovers, at, true)
            }
        };
        if self.call.as_ref().and_then(Call::deadline).is_some_and(|deadline| deadline <= until) {
            return None;
        }
        (self.waited, self.is_patient) = (true, is_patient);
        Some((if is_patient { now } else { until }, at))
    }
}

/// The most that chance adds to a wait for recovery.
const SPREAD: Duration = Duration::from_millis(250);
