//! Configuration that cannot be built.

use std::{borrow::Cow, fmt};

/// A setting that makes no sense, with the name of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    field: &'static str,
    why: Cow<'static, str>,
}

impl InvalidConfig {
    /// Says that `field` is wrong, and why. Neither may hold a secret.
    pub fn new(field: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self { field, why: why.into() }
    }

    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: `{}` {}", self.field, self.why)
    }
}

impl std::error::Error for InvalidConfig {}
