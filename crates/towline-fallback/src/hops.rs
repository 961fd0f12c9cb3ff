//! The hops of a call that have failed.

use tokio::time::Instant;
use towline_core::{Failure, FailureKind};

use crate::table;

#[derive(Debug, Default)]
pub(crate) struct Hops {
    past: Vec<Past>,
    /// Those in which the target was asked, and not only kept back by a layer of ours.
    asked: usize,
    /// The earliest recovery that any of them told of.
    recovers: Option<Instant>,
}

#[derive(Debug)]
struct Past {
    at: usize,
    kind: FailureKind,
    /// When a layer of ours that refused it will let it through, if one did and told.
    recovers: Option<Instant>,
}

impl Hops {
    /// The one to the target at `at` has failed, after attempts that had left us if `left`.
    pub(crate) fn add(&mut self, at: usize, failure: &Failure, left: bool, now: Instant) {
        let refused = table::is_refusal(failure.kind);
        let recovers = failure.hint.retry_after.and_then(|wait| now.checked_add(wait));
        self.asked += usize::from(left || !refused);
        self.recovers = self.recovers.into_iter().chain(recovers).min();
        self.past.push(Past { at, kind: failure.kind, recovers: recovers.filter(|_| refused) });
    }

    /// All have their turn again.
    pub(crate) fn begin_again(&mut self) {
        (self.past, self.recovers) = (Vec::new(), None);
    }

    pub(crate) fn is_past(&self, at: usize) -> bool {
        self.past.iter().any(|past| past.at == at)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    pub(crate) fn len(&self) -> usize {
        self.past.len()
    }

    /// What failed at the first target.
    pub(crate) fn first(&self) -> Option<FailureKind> {
        self.past.first().map(|past| past.kind)
    }

    pub(crate) fn recovers(&self) -> Option<Instant> {
        self.recovers
    }

    /// The first to be let through, of those that layers of ours refused like this.
    pub(crate) fn soonest(&self, like: impl Fn(FailureKind) -> bool) -> Option<(Instant, usize)> {
        self.past.iter().filter(|past| like(past.kind)).filter_map(|past| Some((past.recovers?, past.at))).min()
    }
}
