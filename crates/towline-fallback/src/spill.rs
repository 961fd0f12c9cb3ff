//! How many calls may go elsewhere since a target has more to do than it can.

use tokio::time::Instant;
use towline_core::{Failure, FailureKind, InvalidConfig, RetryBudget};

/// A bucket that each call pays into, and each one that spills over takes from; none where nothing is capped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spill(Option<RetryBudget>);

impl Spill {
    pub(crate) fn new(share: f64, burst: u32) -> Result<Self, InvalidConfig> {
        let wrong = |_| InvalidConfig::new("spill_over", "takes a share of 0.001 to 1, and a burst of 1 to 1,000,000 calls");
        Ok(Self(Some(RetryBudget::new(share, burst, burst).map_err(wrong)?)))
    }

    /// What it lets through, where anything is capped.
    pub(crate) const fn budget(&self) -> Option<&RetryBudget> {
        self.0.as_ref()
    }

    /// A call has come.
    pub(crate) fn pay_in(&self) {
        if let Some(budget) = &self.0 {
            budget.succeeded();
        }
    }

    /// Whether a call that failed like this may move on, as it does then.
    pub(crate) fn lets_through(&self, failure: &Failure, now: Instant) -> bool {
        let Some(budget) = self.0.as_ref().filter(|_| is_spill(failure.kind)) else { return true };
        // Each costs the same, whatever a retry would.
        let withdrawal = budget.withdraw(&Failure::new(FailureKind::LimitedLocally), now);
        withdrawal.map(|mut withdrawal| withdrawal.spend()).is_some()
    }

    /// Whether the next one may.
    pub(crate) fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|budget| budget.tokens() >= 1.0)
    }
}

/// Whether it is demand that is too high, rather than a target that is down.
fn is_spill(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimited | FailureKind::LimitedLocally)
}
