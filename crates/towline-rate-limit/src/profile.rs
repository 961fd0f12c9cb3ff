//! What a request costs at which provider.

use towline_core::{Dialect, Target, Usage};

use crate::cost::{Cost, Estimated, Typical, input_of};

/// How a provider counts tokens: what a request costs when it is sent, and what once its answer has ended.
///
/// | profile | when it is sent | once it has ended |
/// |---|---|---|
/// | `Any` | input and typical output | what was used |
/// | `OpenAi` | input or `max_tokens`, whichever is more | what was used or `max_tokens`, whichever is more |
/// | `Azure` | input and `max_tokens` | the input that was used and `max_tokens`, or the output if that is more |
/// | `Anthropic` | input and typical output, apart | what was used; what was read from a cache is free |
/// | `Gemini` | input | the input that was used |
/// | `Bedrock`, `Cerebras` | input and `max_tokens` | what was used |
///
/// What was written into a cache and is told apart from the input, as Anthropic's models do, counts as input. `max_tokens` is that of all answers
/// together for which a request asks (`n`, `best_of`, `candidateCount`).
///
/// Input is what was estimated; typical output is what answers were long so far, 1024 tokens at the beginning, and never more
/// than `max_tokens`. A request that says no `max_tokens` has the typical output in its place, except with `OpenAi`, which
/// counts the input alone. OpenAI and Azure count what they estimate, and not what is used. The books here are to be like those
/// there: of `max_tokens` nothing comes back, and the true length of the prompt, once it is told, is closer to their estimate than
/// ours was.
///
/// Azure counts requests in slices of a second or ten: what may pass at once is by default the requests of a twentieth of a second, and
/// the tokens of one second. A 429 that asks for a second or less tells of a slice that was full, and slows down by three hundredths
/// only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// One that is not known.
    #[default]
    Any,
    /// OpenAI.
    OpenAi,
    /// Azure OpenAI.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Gemini.
    Gemini,
    /// Bedrock.
    Bedrock,
    /// Cerebras.
    Cerebras,
}

impl Profile {
    /// How the provider of a target counts, where its dialect or its host tells: whoever else speaks OpenAI's dialect counts in ways of
    /// their own, so that is `Any`.
    ///
    /// ```
    /// use towline_core::{Dialect, Target};
    /// use towline_rate_limit::Profile;
    ///
    /// let target = |base: &str| Target::new("t", base).map(|target| Profile::of(&target.with_dialect(Dialect::OpenAiChat)));
    /// assert_eq!(target("https://api.openai.com/v1")?, Profile::OpenAi);
    /// assert_eq!(target("https://mine.openai.azure.com/openai/v1")?, Profile::Azure);
    /// assert_eq!(target("http://localhost:8000/v1")?, Profile::Any);
    /// # Ok::<_, towline_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let host = target.base().host().unwrap_or_default();
        match target.dialect() {
            Some(Dialect::Anthropic) => Self::Anthropic,
            Some(Dialect::Gemini) => Self::Gemini,
            Some(Dialect::Bedrock) => Self::Bedrock,
            _ if host == "api.openai.com" => Self::OpenAi,
            _ if host.ends_with(".openai.azure.com") => Self::Azure,
            _ if host == "api.cerebras.ai" => Self::Cerebras,
            _ => Self::Any,
        }
    }

    /// What a request costs when it is sent.
    pub(crate) fn reserve(self, told: Estimated, typical: Typical) -> Cost {
        let input = told.input.unwrap_or_else(|| typical.input());
        let likely = told.max_output.map_or_else(|| typical.output(), |most| most.min(typical.output()));
        let most = told.max_output.unwrap_or_else(|| typical.output());
        let (output, total) = match self {
            Self::OpenAi => (most, input.max(told.max_output.unwrap_or(0))),
            Self::Azure | Self::Bedrock | Self::Cerebras => (most, input.saturating_add(most)),
            Self::Gemini => (likely, input),
            Self::Any | Self::Anthropic => (likely, input.saturating_add(likely)),
        };
        Cost { total, input, output }
    }

    /// What it has cost once its answer has ended whole; what the answer does not tell stays as it was reserved.
    pub(crate) fn settle(self, reserved: Cost, usage: &Usage) -> Cost {
        let used = self.used(reserved, usage);
        let asked = reserved.output;
        match self {
            // Without `max_tokens`, input alone was reserved.
            Self::OpenAi if asked > reserved.total => used,
            Self::OpenAi => Cost { total: used.total.max(asked), ..used },
            Self::Azure => Cost { total: used.input.saturating_add(used.output.max(asked)), ..used },
            _ => used,
        }
    }

    fn used(self, reserved: Cost, usage: &Usage) -> Cost {
        let input = input_of(usage).unwrap_or(reserved.input);
        let output = usage.output_tokens.unwrap_or(reserved.output);
        let total = match self {
            Self::Gemini => input,
            _ if usage.input_tokens.is_none() && usage.output_tokens.is_none() => reserved.total,
            _ => input.saturating_add(output),
        };
        Cost { total, input, output }
    }

    /// What comes in during so many nanoseconds may pass at once: of requests, and of tokens.
    ///
    /// With 0.95 of the limit in use, three seconds more than a minute bring no more than the limit allows.
    pub(crate) const fn bursts(self) -> (u64, u64) {
        const SECOND: u64 = 1_000_000_000;
        match self {
            Self::Azure => (SECOND / 20, SECOND),
            _ => (SECOND, 3 * SECOND),
        }
    }
}
