//! What the layer was told: each circuit's rules and what counts, whose circuit it is, and who listens.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use http::request::Parts;
use towline_core::{Failure, Observer};

use crate::{Verdict, rules::Rules};

pub(crate) type Counts = Arc<dyn Fn(&Failure) -> Option<Verdict> + Send + Sync>;
pub(crate) type KeyOf = Arc<dyn Fn(&Parts) -> Option<Arc<str>> + Send + Sync>;

/// What one circuit goes by.
#[derive(Clone, Default)]
pub(crate) struct Policy {
    pub(crate) rules: Rules,
    pub(crate) counts: Option<Counts>,
    /// The age from which an attempt that is dropped counts as timed out.
    pub(crate) drops_after: Option<Duration>,
}

/// What a layer goes by.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// For all circuits but those of `own`.
    pub(crate) policy: Policy,
    pub(crate) own: HashMap<Arc<str>, Policy>,
    /// Whose circuit it is, where that is not the target's.
    pub(crate) key: Option<KeyOf>,
    pub(crate) observer: Observer,
}

impl Policy {
    pub(crate) fn verdict(&self, failure: &Failure) -> Verdict {
        self.counts.as_ref().and_then(|counts| counts(failure)).unwrap_or_else(|| Verdict::of(failure))
    }

    /// Whether it matters when a request that is no probe began.
    #[inline]
    pub(crate) const fn times_requests(&self) -> bool {
        self.drops_after.is_some() || self.rules.slow.is_some()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("rules", &self.rules)
            .field("counts", &self.counts.is_some())
            .field("drops_after", &self.drops_after)
            .finish()
    }
}

impl Settings {
    /// The longest that any circuit can stay open.
    pub(crate) fn longest_open(&self) -> Duration {
        self.own.values().map(|own| own.rules.longest_open()).fold(self.policy.rules.longest_open(), Duration::max)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("policy", &self.policy)
            .field("own", &self.own)
            .field("key", &self.key.is_some())
            .field("observer", &self.observer)
            .finish()
    }
}
