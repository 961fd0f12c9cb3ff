//! When two requests are the same.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use http::{HeaderName, Request};
use serde_json::Value;

/// What is the same for requests that ask for the same: 128 bits of keyed hash, which nobody outside can aim at.
pub(super) type Key = [u64; 2];

/// Makes keys; those of different ones differ.
#[derive(Clone, Default)]
pub(super) struct Canonical([RandomState; 2]);

/// Headers on which an answer depends: whose it is, and in which version it is asked for.
const HEADERS: [&str; 11] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "anthropic-version",
    "anthropic-beta",
    "accept",
];

impl Canonical {
    /// The key of a request whose body is `body`, and whether it carries results of tools. `None` of one that is no JSON object, or is
    /// nothing that an answer can be kept for.
    pub(super) fn key<B>(&self, request: &Request<B>, body: &[u8]) -> Option<(Key, bool)> {
        let body: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
        // Object keys come out sorted, and no blank is left.
        let text = body.to_string();
        let key = [0, 1].map(|nth| {
            let mut hasher = self.0.get(nth).map_or_else(|| RandomState::new().build_hasher(), BuildHasher::build_hasher);
            request.method().hash(&mut hasher);
            request.uri().path().hash(&mut hasher);
            request.uri().query().hash(&mut hasher);
            for name in HEADERS.map(HeaderName::from_static) {
                for value in request.headers().get_all(&name) {
                    (name.as_str(), value.as_bytes()).hash(&mut hasher);
                }
            }
            // Whatever else is somebody's secret tells callers apart as well.
            for (name, value) in request.headers().iter().filter(|(_, value)| value.is_sensitive()) {
                (name.as_str(), value.as_bytes()).hash(&mut hasher);
            }
            text.hash(&mut hasher);
            hasher.finish()
        });
        Some((key, has_tool_results(&body)))
    }
}

/// Whether anything in it is what a tool has said, in any dialect.
fn has_tool_results(value: &Value) -> bool {
    let says = |object: &serde_json::Map<String, Value>, key: &str, words: &[&str]| {
        object.get(key).and_then(Value::as_str).is_some_and(|word| words.contains(&word))
    };
    match value {
        Value::Object(object) => {
            says(object, "role", &["tool", "function"])
                || says(object, "type", &["tool_result", "function_call_output"])
                || object.contains_key("functionResponse")
                || object.contains_key("toolResult")
                || object.values().any(has_tool_results)
        }
        Value::Array(array) => array.iter().any(has_tool_results),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, header: &str) -> Request<()> {
        Request::post(uri).header("authorization", header).body(()).unwrap()
    }

    #[test]
    fn blanks_and_the_order_of_keys_make_no_difference_and_all_else_does() {
        let keys = Canonical::default();
        let key = |uri: &str, header: &str, body: &str| keys.key(&request(uri, header), body.as_bytes()).unwrap().0;
        let same = key("/p?q", "me", r#"{"a":1,"b":[1,{"c":2,"d":3}]}"#);
        assert_eq!(same, key("/p?q", "me", r#"{ "b": [1, {"d":3, "c":2}], "a": 1 }"#));
        for other in [
            key("/p?q", "me", r#"{"a":1,"b":[{"c":2,"d":3},1]}"#),
            key("/p", "me", r#"{"a":1,"b":[1,{"c":2,"d":3}]}"#),
            key("/o?q", "me", r#"{"a":1,"b":[1,{"c":2,"d":3}]}"#),
            key("/p?q", "you", r#"{"a":1,"b":[1,{"c":2,"d":3}]}"#),
        ] {
            assert_ne!(same, other);
        }
        for none in ["", "[]", "{", "audio"] {
            assert_eq!(keys.key(&request("/p", "me"), none.as_bytes()), None);
        }
    }

    #[test]
    fn results_of_tools_are_seen_in_each_dialect() {
        let has = |body: &str| Canonical::default().key(&request("/", ""), body.as_bytes()).unwrap().1;
        for body in [
            r#"{"messages":[{"role":"tool","content":"4"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"4"}]}]}"#,
            r#"{"input":[{"type":"function_call_output","output":"4"}]}"#,
            r#"{"contents":[{"parts":[{"functionResponse":{"name":"f"}}]}]}"#,
            r#"{"messages":[{"content":[{"toolResult":{}}]}]}"#,
        ] {
            assert!(has(body), "{body}");
        }
        assert!(!has(r#"{"messages":[{"role":"user","content":"what is a tool_result?"}],"tools":[{"type":"function"}]}"#));
    }
}
