//! Which limits there are.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

/// What a provider allows: any combination of limits, all of which are kept together.
///
/// ```
/// use std::num::{NonZeroU32, NonZeroU64};
///
/// use towline_rate_limit::{Dimension, Limits};
///
/// let limits = Limits::none()
///     .requests_per_minute(NonZeroU32::new(50).unwrap())
///     .input_tokens_per_minute(NonZeroU64::new(30_000).unwrap())
///     .output_tokens_per_minute(NonZeroU64::new(8_000).unwrap());
/// assert_eq!(limits.get(Dimension::InputTokens), Some(30_000));
/// assert_eq!(limits.get(Dimension::Concurrency), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits([Option<NonZeroU64>; DIMENSIONS.len()]);

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Requests a minute.
    Requests,
    /// Tokens a minute, those of prompts and of answers together.
    Tokens,
    /// Tokens of prompts a minute.
    InputTokens,
    /// Tokens of answers a minute.
    OutputTokens,
    /// Requests a day.
    RequestsPerDay,
    /// Tokens a day, those of prompts and of answers together.
    TokensPerDay,
    /// Requests under way at once, until their answers have ended.
    Concurrency,
}

/// Those that are counted in time come first.
pub(crate) const DIMENSIONS: [Dimension; 7] = [
    Dimension::Requests,
    Dimension::Tokens,
    Dimension::InputTokens,
    Dimension::OutputTokens,
    Dimension::RequestsPerDay,
    Dimension::TokensPerDay,
    Dimension::Concurrency,
];

impl Limits {
    /// No limit at all; add those that there are.
    #[must_use]
    pub const fn none() -> Self {
        Self([None; DIMENSIONS.len()])
    }

    /// At most `n` requests a minute.
    #[must_use]
    pub fn requests_per_minute(self, n: NonZeroU32) -> Self {
        self.with(Dimension::Requests, n.into())
    }

    /// At most `n` tokens a minute, those of prompts and of answers together.
    #[must_use]
    pub fn tokens_per_minute(self, n: NonZeroU64) -> Self {
        self.with(Dimension::Tokens, n)
    }

    /// At most `n` tokens of prompts a minute.
    #[must_use]
    pub fn input_tokens_per_minute(self, n: NonZeroU64) -> Self {
        self.with(Dimension::InputTokens, n)
    }

    /// At most `n` tokens of answers a minute.
    #[must_use]
    pub fn output_tokens_per_minute(self, n: NonZeroU64) -> Self {
        self.with(Dimension::OutputTokens, n)
    }

    /// At most `n` requests a day.
    #[must_use]
    pub fn requests_per_day(self, n: NonZeroU32) -> Self {
        self.with(Dimension::RequestsPerDay, n.into())
    }

    /// At most `n` tokens a day, those of prompts and of answers together.
    #[must_use]
    pub fn tokens_per_day(self, n: NonZeroU64) -> Self {
        self.with(Dimension::TokensPerDay, n)
    }

    /// At most `n` requests under way at once, each until its answer has ended or was dropped.
    #[must_use]
    pub fn concurrency(self, n: NonZeroU32) -> Self {
        self.with(Dimension::Concurrency, n.into())
    }

    /// The limit of a dimension, if there is one.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> Option<u64> {
        self.0.get(dimension as usize).copied().flatten().map(NonZeroU64::get)
    }

    /// Whether what happens to an answer changes what is left.
    pub(crate) fn await_the_end(&self) -> bool {
        DIMENSIONS.iter().any(|dimension| {
            !matches!(dimension, Dimension::Requests | Dimension::RequestsPerDay) && self.get(*dimension).is_some()
        })
    }

    fn with(mut self, dimension: Dimension, n: NonZeroU64) -> Self {
        if let Some(limit) = self.0.get_mut(dimension as usize) {
            *limit = Some(n);
        }
        self
    }
}

/// As one says it: `input tokens a minute`.
impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests a minute",
            Self::Tokens => "tokens a minute",
            Self::InputTokens => "input tokens a minute",
            Self::OutputTokens => "output tokens a minute",
            Self::RequestsPerDay => "requests a day",
            Self::TokensPerDay => "tokens a day",
            Self::Concurrency => "requests at once",
        })
    }
}
