//! Putting another model into a request, byte for byte.

use std::{borrow::Cow, error, fmt, ops::Range};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use towline_core::Dialect;

use crate::path;

/// A body that is not a JSON object, so there is no place in it for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAnObject;

/// Replaces the value of the top-level `"model"`, or puts one in first where there is none.
///
/// Everything else keeps its bytes: blanks, the order of keys, numbers of any size. If the key stands there several times, all
/// are replaced. A body that names this model already is returned as it is, without a copy.
///
/// # Errors
///
/// [`NotAnObject`] if the body is not one JSON object in whole.
///
/// ```
/// let body = bytes::Bytes::from_static(br#"{ "model" : "a", "n": 1.00 }"#);
/// assert_eq!(towline_wire::patch::model(&body, "b").unwrap(), r#"{ "model" : "b", "n": 1.00 }"#);
/// ```
pub fn model(body: &Bytes, model: &str) -> Result<Bytes, NotAnObject> {
    let Models(found) = serde_json::from_slice(body).map_err(|_| NotAnObject)?;
    let quoted = serde_json::Value::from(model).to_string();
    if found.is_empty() {
        return insert(body, &quoted).ok_or(NotAnObject);
    }
    let same = |raw: &&RawValue| serde_json::from_str::<Cow<'_, str>>(raw.get()).is_ok_and(|old| old == model);
    if found.iter().all(same) {
        return Ok(body.clone());
    }
    let mut out = Vec::with_capacity(body.len() + quoted.len() * found.len());
    let mut done = 0;
    for raw in found {
        let span = span(body, raw.get()).ok_or(NotAnObject)?;
        out.extend_from_slice(body.get(done..span.start).ok_or(NotAnObject)?);
        out.extend_from_slice(quoted.as_bytes());
        done = span.end;
    }
    out.extend_from_slice(body.get(done..).ok_or(NotAnObject)?);
    Ok(out.into())
}

/// Replaces the model that a path names; `None` if the path names none, or none that this dialect reads from there.
///
/// Known are Gemini's and Vertex' `models/{model}:verb`, Bedrock's `/model/{id}/verb` and Azure's
/// `/openai/deployments/{model}/...`. The model is percent-encoded; the query stays as it is.
///
/// ```
/// use towline_core::Dialect;
/// use towline_wire::patch::model_in_path;
///
/// let path = "/v1beta/models/gemini-2.5-pro:generateContent?alt=json";
/// assert_eq!(model_in_path(path, Dialect::Gemini, "gemini-3").as_deref(), Some("/v1beta/models/gemini-3:generateContent?alt=json"));
/// assert_eq!(model_in_path("/v1/messages", Dialect::Anthropic, "claude-opus-5"), None);
/// ```
#[must_use]
pub fn model_in_path(path_and_query: &str, dialect: Dialect, model: &str) -> Option<String> {
    let path = path_and_query.split('?').next()?;
    let told = path::read(path);
    // A deployment's path also serves the Responses dialect, whose suffix differs.
    let openai = |dialect| matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses);
    if told.dialect != Some(dialect) && !(told.dialect.is_some_and(openai) && openai(dialect)) {
        return None;
    }
    let range = told.model?;
    let model = if dialect == Dialect::Gemini { model.strip_prefix("models/").unwrap_or(model) } else { model };
    let (before, after) = (path_and_query.get(..range.start)?, path_and_query.get(range.end..)?);
    Some(format!("{before}{}{after}", path::encode(model)))
}

/// The values of all top-level `"model"` keys, in the order they stand in.
struct Models<'de>(Vec<&'de RawValue>);

impl<'de> Deserialize<'de> for Models<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Models<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Models<'de>, A::Error> {
                let mut found = Vec::new();
                while let Some(is_model) = map.next_key::<IsModel>()? {
                    if is_model.0 {
                        found.push(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Models(found))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Whether a key is `model`, escapes read.
struct IsModel(bool);

impl<'de> Deserialize<'de> for IsModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = IsModel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, v: &str) -> Result<IsModel, E> {
                Ok(IsModel(v == "model"))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not a JSON object")
    }
}

impl error::Error for NotAnObject {}

/// Where `part`, which was borrowed from `body`, lies in it.
fn span(body: &[u8], part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (body.get(start..end)? == part.as_bytes()).then_some(start..end)
}

fn insert(body: &[u8], quoted: &str) -> Option<Bytes> {
    let brace = body.iter().position(|b| *b == b'{')?;
    let (before, after) = body.split_at_checked(brace + 1)?;
    let empty = after.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'}');
    let comma = if empty { "" } else { "," };
    Some([before, b"\"model\":", quoted.as_bytes(), comma.as_bytes(), after].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(body: &'static str) -> String {
        let out = model(&Bytes::from_static(body.as_bytes()), "b\"c").unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn everything_else_keeps_its_bytes() {
        assert_eq!(
            patched("{\"x\": 1e400 ,\n\"model\" :\t\"a\", \"y\":[\"model\"]}"),
            "{\"x\": 1e400 ,\n\"model\" :\t\"b\\\"c\", \"y\":[\"model\"]}"
        );
        assert_eq!(patched(r#"{"a":{"model":"x"},"model":{"n":[1]}}"#), r#"{"a":{"model":"x"},"model":"b\"c"}"#);
    }

    #[test]
    fn all_of_several_are_replaced_also_under_an_escaped_key() {
        assert_eq!(patched(r#"{"model":1,"\u006dodel":null}"#), r#"{"model":"b\"c","\u006dodel":"b\"c"}"#);
    }

    #[test]
    fn a_missing_model_is_put_in_first() {
        assert_eq!(patched(" {}"), r#" {"model":"b\"c"}"#);
        assert_eq!(patched("{ }"), r#"{"model":"b\"c" }"#);
        assert_eq!(patched(r#"{"a":1}"#), r#"{"model":"b\"c","a":1}"#);
    }

    #[test]
    fn a_body_with_this_model_is_not_copied() {
        let body = Bytes::from_static(br#"{"model":"\u0061"}"#);
        let same = model(&body, "a").unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for body in ["", "[]", "null", "{", "{}{}", "{\"model\":}", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
            assert_eq!(model(&Bytes::from_static(body.as_bytes()), "b"), Err(NotAnObject), "{body:?}");
        }
    }

    #[test]
    fn the_path_is_patched_where_the_dialect_names_the_model_there() {
        let patch = |path, dialect| model_in_path(path, dialect, "a:b/c");
        assert_eq!(patch("/model/x%3A0/converse-stream", Dialect::Bedrock).as_deref(), Some("/model/a%3Ab%2Fc/converse-stream"));
        assert_eq!(
            patch("/openai/deployments/gpt/chat/completions?api-version=1", Dialect::OpenAiChat).as_deref(),
            Some("/openai/deployments/a%3Ab%2Fc/chat/completions?api-version=1")
        );
        assert_eq!(
            patch("/openai/deployments/gpt/responses", Dialect::OpenAiChat).as_deref(),
            Some("/openai/deployments/a%3Ab%2Fc/responses")
        );
        assert_eq!(patch("/v1/chat/completions", Dialect::OpenAiChat), None);
        assert_eq!(patch("/model/x/converse", Dialect::Gemini), None);
        assert_eq!(patch("?/model/x/converse", Dialect::Bedrock), None);
        assert_eq!(
            model_in_path("/v1beta/models/x:generateContent", Dialect::Gemini, "models/y").as_deref(),
            Some("/v1beta/models/y:generateContent")
        );
    }
}
