//! What a layer was told, for those who check or print it.

use towline_core::{FailureKind, Target};

use crate::{DegradeLayer, FallbackLayer, targets::Role};

impl FallbackLayer {
    /// The targets for calls that failed elsewhere with a failure of this kind: those for prompts that are too long (`ContextLength`),
    /// those for what another's policy refuses (`ContentPolicy`), or the ordinary ones.
    pub fn targets_for(&self, kind: FailureKind) -> impl Iterator<Item = &Target> {
        let role = match kind {
            FailureKind::ContextLength => Role::Window,
            FailureKind::ContentPolicy => Role::Policy,
            _ => Role::Ordinary,
        };
        self.config.targets.with_role(role)
    }

    /// Whether somebody is told of refusals ([`on_refusal`](Self::on_refusal)).
    #[must_use]
    pub fn is_reviewed(&self) -> bool {
        self.config.on_refusal.is_some()
    }
}

impl DegradeLayer {
    /// Whether there is a [`queue`](Self::queue).
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.config.queue.is_some()
    }
}
