//! Tokens as OpenAI's models count them, for who wants to know more than a quarter of the characters.
//!
//! A rate limit in tokens is only as good as what a request is thought to cost. Without this feature that is 1.1 tokens for each four bytes of
//! text: close for English prose, and far off for code, digits and many languages. Hand one of these to the call layer, and each prompt is
//! counted before it is sent:
//!
//! ```
//! use towline::{CallLayer, tokenizer};
//!
//! let call = CallLayer::new().count_tokens(tokenizer::o200k);
//! # let _ = call;
//! assert_eq!(tokenizer::o200k("Each layer can be understood alone."), 7);
//! ```
//!
//! They are exact for a text. A whole request has a few tokens more for each message, and pictures, sounds and documents go on counting as
//! [`Facts`](crate::Facts) say. For models of other makers they are an estimate, as the default is.
//!
//! The tables are part of the program, some megabytes of it. One is made ready when it is first used, which takes far longer than to count: call it
//! once at the start where that would be in somebody's way. Counting takes time in proportion to the text, whatever the text is.

/// The tokens of a text for OpenAI's models since GPT-4o: `o200k_base`.
#[must_use]
pub fn o200k(text: &str) -> u64 {
    whole(bpe_openai::o200k_base().count(text))
}

/// The tokens of a text for OpenAI's GPT-4, GPT-3.5 and embedding models: `cl100k_base`.
#[must_use]
pub fn cl100k(text: &str) -> u64 {
    whole(bpe_openai::cl100k_base().count(text))
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_counts() {
        for (text, o200k_base, cl100k_base) in [
            ("", 0, 0),
            ("hello world", 2, 2),
            ("tiktoken is great!", 6, 6),
            ("antidisestablishmentarianism", 6, 6),
            ("お誕生日おめでとう", 8, 9),
            ("2 + 2 = 4", 7, 7),
            ("Each layer can be understood alone.", 7, 7),
        ] {
            assert_eq!((o200k(text), cl100k(text)), (o200k_base, cl100k_base), "{text}");
        }
    }

    #[test]
    fn a_text_without_an_end_takes_no_longer_than_others_and_is_counted() {
        assert_eq!(o200k(&"a".repeat(80_000)), 80_000 / 8);
    }
}
