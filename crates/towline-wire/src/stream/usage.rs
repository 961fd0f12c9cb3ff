//! Tokens, as providers tell them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::Small;

/// What an answer tells about tokens. Each number is what the provider calls so: Anthropic's input leaves out what came from
/// the cache, OpenAI's and Gemini's includes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<u64>,
    /// Tokens of the prompt that were read from a cache.
    pub cached: Option<u64>,
    /// Tokens of the prompt that were written into a cache. Told by Anthropic's models alone, whose input leaves them out too.
    pub cache_created: Option<u64>,
}

/// The names under which all dialects tell them.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default, alias = "input_tokens", alias = "promptTokenCount", alias = "inputTokens")]
    prompt_tokens: Small<'a>,
    #[serde(borrow, default, alias = "output_tokens", alias = "candidatesTokenCount", alias = "outputTokens")]
    completion_tokens: Small<'a>,
    #[serde(borrow, default, rename = "thoughtsTokenCount")]
    thoughts: Small<'a>,
    #[serde(
        borrow,
        default,
        alias = "cachedContentTokenCount",
        alias = "cacheReadInputTokens",
        alias = "cacheReadInputTokenCount",
        alias = "prompt_cache_hit_tokens"
    )]
    cache_read_input_tokens: Small<'a>,
    #[serde(borrow, default, alias = "cacheWriteInputTokens", alias = "cacheWriteInputTokenCount")]
    cache_creation_input_tokens: Small<'a>,
    #[serde(borrow, default, alias = "input_tokens_details")]
    prompt_tokens_details: Option<&'a RawValue>,
}

/// Where all dialects tell them in a whole answer.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, alias = "usageMetadata")]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    cached_tokens: Small<'a>,
}

impl Usage {
    /// Reads a `usage` or `usageMetadata` object of any dialect; `None` if it tells nothing.
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        let told: Told<'_> = serde_json::from_slice(json).ok()?;
        let details = || {
            let details: Details<'_> = serde_json::from_str(told.prompt_tokens_details?.get()).ok()?;
            number(&details.cached_tokens)
        };
        let output = match (number(&told.completion_tokens), number(&told.thoughts)) {
            (None, None) => None,
            (answer, thoughts) => Some(answer.unwrap_or(0).saturating_add(thoughts.unwrap_or(0))),
        };
        let usage = Self {
            input: number(&told.prompt_tokens),
            output,
            cached: number(&told.cache_read_input_tokens).or_else(details),
            cache_created: number(&told.cache_creation_input_tokens),
        };
        (usage != Self::default()).then_some(usage)
    }

    /// Reads what a whole JSON answer of any dialect tells; `None` if it tells nothing.
    #[must_use]
    pub fn of_answer(json: &[u8]) -> Option<Self> {
        let answer: Answer<'_> = serde_json::from_slice(json).ok()?;
        Self::read(answer.usage?.get().as_bytes())
    }

    /// Takes over what a later event tells.
    pub fn merge(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.cache_created = later.cache_created.or(self.cache_created);
    }
}

fn number(told: &Small<'_>) -> Option<u64> {
    match told {
        Small::Number(n) => Some(*n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_is_read() {
        let read = |json: &str| Usage::read(json.as_bytes()).map(|u| (u.input, u.output, u.cached));
        assert_eq!(
            read(r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}"#),
            Some((Some(9), Some(2), Some(4)))
        );
        assert_eq!(
            read(r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2}"#),
            Some((Some(9), Some(2), Some(4)))
        );
        assert_eq!(
            read(r#"{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":2}"#),
            Some((Some(9), Some(2), Some(4)))
        );
        assert_eq!(
            read(r#"{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":3,"cachedContentTokenCount":4}"#),
            Some((Some(9), Some(5), Some(4)))
        );
        assert_eq!(read(r#"{"inputTokens":9,"outputTokens":2,"cacheReadInputTokens":4}"#), Some((Some(9), Some(2), Some(4))));
        assert_eq!(read(r#"{"prompt_tokens":null,"completion_tokens":"x"}"#), None);
        assert_eq!(read("[]"), None);
    }

    #[test]
    fn what_was_written_into_a_cache_is_told_apart() {
        let created = |json: &str| Usage::read(json.as_bytes()).and_then(|usage| usage.cache_created);
        assert_eq!(
            created(r#"{"input_tokens":9,"cache_creation_input_tokens":5,"cache_read_input_tokens":4,"output_tokens":2}"#),
            Some(5)
        );
        assert_eq!(created(r#"{"inputTokens":9,"outputTokens":2,"cacheWriteInputTokens":5}"#), Some(5));
        assert_eq!(created(r#"{"input_tokens":9,"cache_creation_input_tokens":null}"#), None);
        let mut usage = Usage { cache_created: Some(5), ..Usage::default() };
        usage.merge(Usage { output: Some(1), ..Usage::default() });
        assert_eq!(usage.cache_created, Some(5), "later events need not tell it again");
    }

    #[test]
    fn a_whole_answer_is_read() {
        let read = |json: &str| Usage::of_answer(json.as_bytes()).map(|u| (u.input, u.output));
        assert_eq!(
            read(r#"{"id":"c","choices":[{}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#),
            Some((Some(9), Some(2)))
        );
        assert_eq!(read(r#"{"candidates":[],"usageMetadata":{"promptTokenCount":9}}"#), Some((Some(9), None)));
        for nothing in ["", "{}", "[]", r#"{"usage":null}"#, r#"{"usage":{}}"#, r#"{"usage":{"prompt_tokens":9}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
