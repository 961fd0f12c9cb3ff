//! One retry budget for each target.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::{Failure, Keyed, RetryBudget, Target, Withdrawal};

/// The budgets of one layer: one for each target, and one for the requests for which nobody has chosen a target.
#[derive(Debug)]
pub(crate) struct Budgets {
    unkeyed: RetryBudget,
    keyed: Keyed<RetryBudget>,
}

const IDLE: Duration = Duration::from_secs(600);

impl Budgets {
    /// Each budget begins as a fresh one with the settings of `template`; requests without a target share `template`
    /// itself.
    pub(crate) fn new(template: RetryBudget) -> Self {
        Self { unkeyed: template, keyed: Keyed::new(IDLE, Instant::now()) }
    }

    pub(crate) const fn template(&self) -> &RetryBudget {
        &self.unkeyed
    }

    pub(crate) fn succeeded(&self, target: Option<&Target>) {
        match target {
            None => self.unkeyed.succeeded(),
            Some(target) => self.keyed.get_or_insert_with(target.key(), Instant::now(), || self.unkeyed.fresh()).succeeded(),
        }
    }

    pub(crate) fn withdraw(&self, target: Option<&Target>, failure: &Failure, now: Instant) -> Option<Withdrawal> {
        match target {
            None => self.unkeyed.withdraw(failure, now),
            Some(target) => self.keyed.get_or_insert_with(target.key(), now, || self.unkeyed.fresh()).withdraw(failure, now),
        }
    }
}
