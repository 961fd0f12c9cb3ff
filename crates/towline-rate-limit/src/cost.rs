//! What a request costs.

use std::{fmt, sync::Arc};

use http::Extensions;
use towline_core::{Call, Facts, Usage};

use crate::Dimension;

/// The tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// What counts against limits on prompts and answers together; not always the sum.
    pub(crate) total: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// How many tokens a request is expected to cost, as an [`Estimate`] tells. `None` is what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimated {
    /// Tokens of the prompt.
    pub input: Option<u64>,
    /// The most tokens that the answer may have, of all its choices together.
    pub max_output: Option<u64>,
}

/// Estimates what a request will cost, before it is sent.
///
/// Without one, what the [facts](towline_core::Facts) of the request's [`Call`] say counts: the tokens of its prompt, which are a quarter of its
/// characters and a tenth more unless `CallLayer` was given a tokenizer, and its `max_tokens` for each answer that it asks for. One of your own may know
/// better, by what it finds in the extensions. A closure will do. It fails no call: where it knows nothing the facts count, and
/// where they know nothing, what requests have cost so far.
pub trait Estimate: Send + Sync + 'static {
    /// What is known of a request with these extensions.
    fn estimate(&self, extensions: &Extensions) -> Estimated;
}

/// Who estimates.
#[derive(Clone, Default)]
pub(crate) struct Estimator(Option<Arc<dyn Estimate>>);

/// What requests have cost so far, as a mean in which each counts an eighth of what is left by the later ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Typical {
    eight_inputs: u64,
    eight_outputs: u64,
}

/// The tokens of a prompt that count: those that were written into a cache too, which who tells them leaves out of the input.
pub(crate) fn input_of(usage: &Usage) -> Option<u64> {
    Some(usage.input_tokens?.saturating_add(usage.cache_creation_tokens.unwrap_or(0)))
}

/// What is expected of an answer before there was any.
const FIRST_OUTPUT: u64 = 1024;

impl Cost {
    /// What counts in a dimension; each request is one.
    pub(crate) const fn of(self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Tokens | Dimension::TokensPerDay => self.total,
            Dimension::InputTokens => self.input,
            Dimension::OutputTokens => self.output,
            _ => 1,
        }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            total: with(self.total, other.total),
            input: with(self.input, other.input),
            output: with(self.output, other.output),
        }
    }
}

impl Estimator {
    pub(crate) fn new(estimate: impl Estimate) -> Self {
        Self(Some(Arc::new(estimate)))
    }

    pub(crate) fn ask(&self, extensions: &Extensions) -> Estimated {
        let told = self.0.as_ref().map(|estimate| estimate.estimate(extensions)).unwrap_or_default();
        let facts = Call::of(extensions).map(Call::facts);
        Estimated {
            input: told.input.or_else(|| facts.map(|facts| facts.input_tokens).filter(|tokens| *tokens > 0)),
            max_output: told.max_output.or_else(|| of_all_answers(facts?)),
        }
    }
}

/// The most tokens that all answers together may have which a request asks for.
fn of_all_answers(facts: &Facts) -> Option<u64> {
    Some(facts.max_output_tokens?.saturating_mul(facts.answers.unwrap_or(1).max(1)))
}

impl Typical {
    pub(crate) const fn new() -> Self {
        Self { eight_inputs: 8, eight_outputs: 8 * FIRST_OUTPUT }
    }

    pub(crate) fn learn(&mut self, usage: &Usage) {
        let learn = |mean: &mut u64, told: Option<u64>| {
            if let Some(told) = told {
                *mean = (*mean - *mean / 8).saturating_add(told);
            }
        };
        learn(&mut self.eight_inputs, input_of(usage));
        learn(&mut self.eight_outputs, usage.output_tokens);
    }

    /// At least one token.
    pub(crate) fn input(self) -> u64 {
        self.eight_inputs.div_ceil(8).max(1)
    }

    pub(crate) fn output(self) -> u64 {
        self.eight_outputs.div_ceil(8)
    }
}

impl<F: Fn(&Extensions) -> Estimated + Send + Sync + 'static> Estimate for F {
    fn estimate(&self, extensions: &Extensions) -> Estimated {
        self(extensions)
    }
}

impl fmt::Debug for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Estimator(own)" } else { "Estimator(facts)" })
    }
}
