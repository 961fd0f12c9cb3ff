//! The parts that targets and others play.

use std::fmt;

/// A part in a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The target that answers while all is well.
    Primary,
    /// A target of like strength from another provider, whose outages are not the primary's.
    OtherFamily,
    /// A smaller, cheaper model, most likely of the primary's family.
    CheapSibling,
    /// A target as strong as the primary or stronger.
    Stronger,
    /// A target one step weaker than the primary.
    OneStepDown,
    /// A target with the primary's very model elsewhere, in another region for instance.
    SameModel,
    /// A target for prompts that do not fit the others' windows ([`context_window_targets`](crate::Stack::context_window_targets)).
    LargerWindow,
    /// A second key for the primary ([`with_keys`](crate::Target::with_keys)).
    SecondKey,
    /// The queue that takes over what nobody could answer ([`queue`](crate::Stack::queue)).
    Queue,
    /// Who is told of refusals by a content policy ([`on_refusal`](crate::Stack::on_refusal)).
    Reviewer,
}

/// A role that a preset wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The role.
    pub role: Role,
    /// Whether it must be filled; else it may.
    pub needed: bool,
}

impl Role {
    /// What it is for.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Primary => "answers while all is well",
            Self::OtherFamily => "of like strength from another provider, whose outages are not the primary's",
            Self::CheapSibling => "smaller and nearly always up: a plain answer beats none",
            Self::Stronger => "as strong as the primary or stronger, none weaker",
            Self::OneStepDown => "one step weaker than the primary, and its name is on the answer",
            Self::SameModel => "the very same model elsewhere, such as in another region",
            Self::LargerWindow => "for prompts that do not fit the others' windows, and nothing else",
            Self::SecondKey => "another key of the primary, tried before another model is",
            Self::Queue => "takes over what nobody could answer",
            Self::Reviewer => "hears of each refusal by a content policy",
        }
    }

    /// What of a stack fills it.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::LargerWindow => "context_window_targets",
            Self::SecondKey => "with_keys",
            Self::Queue => "queue",
            Self::Reviewer => "on_refusal",
            _ => "targets",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::OtherFamily => "other family",
            Self::CheapSibling => "cheap sibling",
            Self::Stronger => "stronger",
            Self::OneStepDown => "one step down",
            Self::SameModel => "same model",
            Self::LargerWindow => "larger window",
            Self::SecondKey => "second key",
            Self::Queue => "queue",
            Self::Reviewer => "reviewer",
        })
    }
}
