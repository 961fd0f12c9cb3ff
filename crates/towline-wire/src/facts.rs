//! What a request says about itself, read once.

use std::{borrow::Cow, error, fmt, sync::Arc};

use http::Uri;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use towline_core::{Dialect, Facts};

use crate::{
    lenient::{Key, Small},
    path,
    scan::{self, Scan},
};

/// What a picture, a sound or a document is taken for in tokens, whatever its size.
const MEDIA_TOKENS: u64 = 1_000;

/// Reads a request's facts from its URI and its body, in one pass over the JSON and without building a tree.
///
/// * **dialect**: from the end of the path (`/chat/completions`, `/responses`, `/messages`, `:generateContent`,
///   `/model/{id}/converse`, ...); `/embeddings` counts as OpenAI's chat dialect.
/// * **model**: the body's `model`, else the one that the path names, percent-decoded.
/// * **stream**: the body's `stream`, or a verb in the path that streams.
/// * **max output tokens**: the largest of `max_completion_tokens`, `max_tokens`, `max_output_tokens`,
///   `generationConfig.maxOutputTokens` and `inferenceConfig.maxTokens`.
/// * **answers**: the larger of `n` and `best_of`, or `generationConfig.candidateCount`.
/// * **input tokens**: an estimate of 1.1 tokens for each four bytes of text in the body, rounded up. Text is every
///   string value, unescaped, however deep; keys and punctuation count nothing. A base64 string counts as 1,000 tokens.
///
/// A body that is not a JSON object, in whole, yields what the path alone tells. Wrong types tell nothing and harm nothing.
///
/// ```
/// use towline_core::Dialect;
///
/// let uri = "https://api.openai.com/v1/chat/completions".parse().unwrap();
/// let facts = towline_wire::facts::read(&uri, br#"{"model":"gpt-5","stream":true,"messages":[]}"#);
/// assert_eq!(facts.dialect, Some(Dialect::OpenAiChat));
/// assert_eq!(facts.model.as_deref(), Some("gpt-5"));
/// assert!(facts.stream);
/// ```
#[must_use]
pub fn read(uri: &Uri, body: &[u8]) -> Facts {
    read_with(uri, body, None)
}

/// How many tokens a text has.
pub type CountTokens = fn(&str) -> u64;

/// The same, with the tokens of each text as `count` counts them, if it is there. Media count as ever.
#[must_use]
pub fn read_with(uri: &Uri, body: &[u8], count: Option<CountTokens>) -> Facts {
    facts(uri, Body::read(body, count).unwrap_or_default())
}

/// The same of a request whose body must be a JSON object.
///
/// # Errors
///
/// [`Unreadable`] if it is none, in whole, or one that is nested deeper than 127 levels.
///
/// ```
/// use towline_wire::facts::{self, Unreadable};
///
/// let uri = http::Uri::from_static("/v1/messages");
/// assert_eq!(facts::try_read(&uri, br#"{"model":"claude"}"#)?.model.as_deref(), Some("claude"));
/// assert_eq!(facts::try_read(&uri, br#"{"model":"claude""#), Err(Unreadable::NotJson));
/// # Ok::<(), Unreadable>(())
/// ```
pub fn try_read(uri: &Uri, body: &[u8]) -> Result<Facts, Unreadable> {
    Ok(facts(uri, Body::read(body, None).map_err(|error| Unreadable::of(&error))?))
}

/// Why a body is not one that a model can be asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not JSON, or not all of it is there.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// It is nested deeper than 127 levels.
    TooDeep,
}

impl Unreadable {
    fn of(error: &serde_json::Error) -> Self {
        // Nothing but the outermost value is asked to be of a certain type.
        if error.is_data() {
            Self::NotAnObject
        } else if error.to_string().starts_with("recursion limit") {
            Self::TooDeep
        } else {
            Self::NotJson
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the body is not JSON",
            Self::NotAnObject => "the body is not a JSON object",
            Self::TooDeep => "the body is nested deeper than 127 levels",
        })
    }
}

impl error::Error for Unreadable {}

fn facts(uri: &Uri, body: Body<'_>) -> Facts {
    let told = path::read(uri.path());
    let from_path = || Some(Arc::from(path::decode(uri.path().get(told.model?)?)));
    let mut facts = Facts::default();
    facts.dialect = told.dialect;
    facts.model = body.model.map(|model| Arc::from(&*model)).or_else(from_path);
    facts.stream = told.stream || body.stream;
    facts.max_output_tokens = body.max_output;
    facts.answers = body.answers;
    facts.input_tokens = body.text.tokens();
    facts
}

/// The dialect that a request of this path speaks, without its query; `None` where the path does not tell.
#[must_use]
pub fn dialect(path: &str) -> Option<Dialect> {
    path::dialect(path)
}

/// The little that is kept of a body.
#[derive(Default)]
struct Body<'a> {
    model: Option<Cow<'a, str>>,
    stream: bool,
    max_output: Option<u64>,
    answers: Option<u64>,
    text: Text,
}

/// Reads a body, its texts by a counter if there is one.
struct Fields(Option<CountTokens>);

/// How much text and how many media were seen.
#[derive(Clone, Copy, Default)]
struct Text {
    count: Option<CountTokens>,
    counted: u64,
    /// What was not counted, by its length.
    bytes: u64,
    media: u64,
}

/// What a body's member is asked for, if it is not for its text.
#[derive(Clone, Copy)]
enum Field {
    Model,
    Stream,
    MaxOutput,
    Answers,
    Config,
}

/// Counts the text in a value into the `Text` it holds; the flag says that the value stands under a key for base64.
struct Count<'a>(&'a mut Text, bool);

impl Field {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"model" => Some(Self::Model),
            b"stream" => Some(Self::Stream),
            b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => Some(Self::MaxOutput),
            b"n" | b"best_of" => Some(Self::Answers),
            b"generationConfig" | b"generation_config" | b"inferenceConfig" => Some(Self::Config),
            _ => None,
        }
    }
}

impl Text {
    fn add(&mut self, text: &str, media: bool) {
        if is_medium(text.as_bytes(), text.len(), || media) {
            self.media += 1;
        } else if let Some(count) = self.count {
            self.counted = self.counted.saturating_add(count(text));
        } else {
            self.bytes = self.bytes.saturating_add(text.len() as u64);
        }
    }

    /// The same of a text that nobody counts but by its length.
    fn add_scanned(&mut self, name: &[u8], text: scan::Text<'_>) {
        if is_medium(text.raw, text.length, || is_media(name)) {
            self.media += 1;
        } else {
            self.bytes = self.bytes.saturating_add(text.length as u64);
        }
    }

    fn tokens(self) -> u64 {
        let estimated = self.bytes.div_ceil(4).saturating_mul(11).div_ceil(10);
        self.counted.saturating_add(estimated).saturating_add(self.media.saturating_mul(MEDIA_TOKENS))
    }
}

impl<'a> Body<'a> {
    /// Reads a body that is JSON in whole.
    fn read(body: &'a [u8], count: Option<CountTokens>) -> serde_json::Result<Self> {
        if count.is_none()
            && let Some(body) = Self::scan(body)
        {
            return Ok(body);
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let body = Fields(count).deserialize(&mut json)?;
        json.end()?;
        Ok(body)
    }

    /// The same of a body in which nothing is unusual, for a fraction of the time.
    fn scan(body: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        Scan::object(body, |scan, name| {
            match Field::of(name) {
                Some(field) => read.set(field, scan.small()?),
                None => scan.value(name, &mut |name, text| read.text.add_scanned(name, text))?,
            }
            Some(())
        })?;
        Some(read)
    }

    fn set(&mut self, field: Field, value: Small<'a>) {
        match (field, value) {
            (Field::Model, Small::Text(model)) => self.model = Some(model),
            (Field::Stream, value) => self.stream = matches!(value, Small::Flag(true)),
            (Field::MaxOutput, Small::Number(n)) => self.max_output = self.max_output.max(Some(n)),
            (Field::Answers, Small::Number(n)) => self.answers = self.answers.max(Some(n)),
            (Field::Config, Small::Config { output, answers }) => {
                self.max_output = self.max_output.max(output);
                self.answers = self.answers.max(answers);
            }
            _ => {}
        }
    }
}

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Body<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body { text: Text { count: self.0, ..Text::default() }, ..Body::default() };
        while let Some(Key(key)) = map.next_key()? {
            match Field::of(key.as_bytes()) {
                Some(field) => body.set(field, map.next_value()?),
                None => map.next_value_seed(Count(&mut body.text, is_media(key.as_bytes())))?,
            }
        }
        Ok(body)
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, v: &str) -> Result<(), E> {
        self.0.add(v, self.1);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Count(self.0, self.1))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            map.next_value_seed(Count(self.0, is_media(key.as_bytes())))?;
        }
        Ok(())
    }
}

/// Whether a text is base64, by how it begins, or by its length and the key that it stands under: short values under such a key are text after all,
/// and a wrong guess costs little.
fn is_medium(text: &[u8], length: usize, is_media: impl FnOnce() -> bool) -> bool {
    text.starts_with(b"data:") || (length > 256 && is_media())
}

/// The keys under which the dialects carry base64.
fn is_media(key: &[u8]) -> bool {
    matches!(key, b"data" | b"bytes" | b"file_data" | b"b64_json")
}

#[cfg(test)]
mod tests;
