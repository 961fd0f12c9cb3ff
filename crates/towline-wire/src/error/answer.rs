//! Failures that come as a success: a 200 whose JSON is an error, a refusal, or nothing.

use std::time::SystemTime;

use http::HeaderMap;
use serde_json::{Map, Value};
use towline_core::{Dialect, Failure};

use super::{
    Report, conclude,
    verdict::{GENERATION, GUARD, MALFORMED, OVERLOADED, POLICY, SERVER, UNKNOWN, Verdict},
};

/// Reads a success's body. What is not known to be an answer of an LLM is left alone, unless the dialect is known.
pub(crate) fn failure(body: &[u8], dialect: Option<Dialect>, headers: &HeaderMap, now: SystemTime) -> Option<Failure> {
    let says_json = headers.get(http::header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        Err(_) if dialect.is_some() || (says_json && !body.is_empty()) => return Some(MALFORMED.failure()),
        Err(_) => return None,
    };
    read(&value, dialect).map(|said| match said {
        Said::Error(error) => conclude(&Report::of_value(error), Some((headers, now))),
        Said::Verdict(verdict) => verdict.failure(),
    })
}

/// What an answer says against itself.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    /// An error, in an envelope.
    Error(&'a Value),
    /// A verdict from its stop reason or its emptiness.
    Verdict(Verdict),
}

pub(crate) fn read(value: &Value, dialect: Option<Dialect>) -> Option<Said<'_>> {
    let map = match value {
        Value::Object(map) => map,
        // Google wraps its errors into a list of one; so are streams that nobody asked as SSE.
        Value::Array(list) => return list.iter().find(|item| has_error(item)).map(Said::Error),
        _ => return dialect.map(|_| Said::Verdict(MALFORMED)),
    };
    if has_error(value) {
        return Some(Said::Error(value));
    }
    let verdict = if let Some(choices) = list(map, "choices") {
        if let Some(error) = choices.iter().find(|choice| has_error(choice)) {
            return Some(Said::Error(error));
        }
        chat(choices)
    } else if map.get("object").and_then(Value::as_str) == Some("response") {
        responses(map)
    } else if map.get("type").and_then(Value::as_str) == Some("message") {
        anthropic(map)
    } else if map.contains_key("candidates") || map.contains_key("promptFeedback") {
        gemini(map)
    } else if map.contains_key("stopReason") && map.contains_key("output") {
        bedrock(map)
    } else if let Some(reason) = map.get("finish_reason").and_then(Value::as_str).and_then(|reason| chat_reason(reason, "")) {
        Some(reason)
    } else if let Some(predictions) = list(map, "predictions") {
        let filtered = |p: &Value| p.get("raiFilteredReason").is_some();
        (!predictions.is_empty() && predictions.iter().all(filtered)).then_some(POLICY)
    } else {
        shape(map, dialect)
    };
    verdict.map(Said::Verdict)
}

/// Whether an object is an error: a non-null `error`, Anthropic's `type`, a failed Response, a list of `errors`, a denied
/// success, MiniMax' status, or AWS' answer to a path that it does not know.
pub(crate) fn has_error(value: &Value) -> bool {
    let text = |key| value.get(key).and_then(Value::as_str);
    match value.get("error") {
        Some(Value::Object(map)) => return !map.is_empty(),
        Some(Value::String(text)) => return !text.is_empty(),
        _ => {}
    }
    let failed = text("status") == Some("failed");
    let nested = |key: &str, inner: &str| value.get(key).and_then(|value| value.get(inner)).is_some();
    let base = value.get("base_resp").and_then(|base| base.get("status_code")).and_then(Value::as_i64);
    text("type") == Some("error")
        || text("object") == Some("error")
        || (failed && (text("object") == Some("response") || value.get("last_error").is_some()))
        || value.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
        || value.get("success") == Some(&Value::Bool(false))
        || nested("Output", "__type")
        || base.is_some_and(|code| code != 0)
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a [Value]> {
    map.get(key).and_then(Value::as_array).map(Vec::as_slice)
}

/// Whether there is anything in a value: text, a number, a list or object with anything in it.
fn told(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => list.iter().any(|item| told(Some(item))),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

/// A verdict for the reasons to stop that a chat completion gives, and a router's upstream gave it.
pub(crate) fn chat_reason(reason: &str, native: &str) -> Option<Verdict> {
    let told = |reason| match reason {
        "content_filter" | "sensitive" | "refusal" | "ERROR_TOXIC" => Some(POLICY),
        "insufficient_system_resource" => Some(OVERLOADED),
        "error" | "network_error" | "ERROR" | "TIMEOUT" => Some(SERVER),
        _ => None,
    };
    gemini_reason(native).filter(|verdict| *verdict != UNKNOWN).or_else(|| told(native)).or_else(|| told(reason))
}

fn chat(choices: &[Value]) -> Option<Verdict> {
    let text = |choice: &Value, key| choice.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reason = |choice: &Value| chat_reason(&text(choice, "finish_reason"), &text(choice, "native_finish_reason"));
    let message = |choice: &Value, key| told(choice.get("message").or_else(|| choice.get("delta")).and_then(|m| m.get(key)));
    if let Some(verdict) = choices.iter().find_map(reason) {
        return Some(verdict);
    }
    if choices.iter().any(|choice| message(choice, "refusal")) {
        return Some(POLICY);
    }
    let content = |choice: &Value| {
        told(choice.get("text"))
            || ["content", "tool_calls", "function_call", "reasoning_content", "reasoning", "audio", "images"]
                .iter()
                .any(|key| message(choice, key))
    };
    (!choices.iter().any(content)).then_some(MALFORMED)
}

fn responses(map: &Map<String, Value>) -> Option<Verdict> {
    let output = list(map, "output").unwrap_or_default();
    let parts = || output.iter().filter_map(|item| item.get("content")?.as_array()).flatten();
    let kind = |part: &Value| part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let reason = map.get("incomplete_details").and_then(|d| d.get("reason")).and_then(Value::as_str);
    if reason == Some("content_filter") || parts().any(|part| kind(part) == "refusal") {
        return Some(POLICY);
    }
    let status = map.get("status").and_then(Value::as_str);
    (output.is_empty() && status == Some("completed")).then_some(MALFORMED)
}

fn anthropic(map: &Map<String, Value>) -> Option<Verdict> {
    if map.get("stop_reason").and_then(Value::as_str) == Some("refusal") {
        return Some(POLICY);
    }
    (!told(map.get("content"))).then_some(MALFORMED)
}

/// A verdict for one of Gemini's reasons to stop, if it is one that is no success.
pub(crate) fn gemini_reason(reason: &str) -> Option<Verdict> {
    match reason {
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Some(POLICY),
        "MODEL_ARMOR" => Some(GUARD),
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Some(GENERATION),
        "OTHER" | "IMAGE_OTHER" | "NO_IMAGE" => Some(UNKNOWN),
        _ => None,
    }
}

fn gemini(map: &Map<String, Value>) -> Option<Verdict> {
    let feedback = |key| map.get("promptFeedback").and_then(|f| f.get(key)).and_then(Value::as_str);
    if let Some(reason) = feedback("blockReason").or_else(|| feedback("blockReasonMessage")) {
        return Some(if reason == "MODEL_ARMOR" { GUARD } else { POLICY });
    }
    let candidates = list(map, "candidates").unwrap_or_default();
    let reason = |candidate: &Value| candidate.get("finishReason").and_then(Value::as_str).and_then(gemini_reason);
    if let Some(verdict) = candidates.iter().find_map(reason) {
        return Some(verdict);
    }
    let part =
        |part: &Value| part.as_object().is_some_and(|part| part.iter().any(|(key, value)| key != "thought" && told(Some(value))));
    let content = |candidate: &Value| candidate.get("content")?.get("parts")?.as_array().map(|parts| parts.iter().any(part));
    (!candidates.iter().any(|candidate| content(candidate) == Some(true))).then_some(MALFORMED)
}

/// A verdict for one of Bedrock's reasons to stop, if it is one that is no success.
pub(crate) fn bedrock_reason(reason: &str) -> Option<Verdict> {
    match reason {
        "guardrail_intervened" => Some(GUARD),
        "content_filtered" => Some(POLICY),
        "malformed_model_output" | "malformed_tool_use" => Some(GENERATION),
        _ => None,
    }
}

fn bedrock(map: &Map<String, Value>) -> Option<Verdict> {
    match map.get("stopReason").and_then(Value::as_str)? {
        // The same reason covers an answer whose names were only masked; the trace, where there is one, tells.
        "guardrail_intervened" => {
            let guard = map.get("trace").and_then(|trace| trace.get("guardrail"));
            let trace = guard.map(ToString::to_string).unwrap_or_default().to_ascii_lowercase();
            let masked = trace.contains("masked") || trace.contains("\"anonymized\"");
            (!masked || trace.contains("blocked")).then_some(GUARD)
        }
        reason => bedrock_reason(reason).or_else(|| {
            let content = map.get("output").and_then(|o| o.get("message")).and_then(|m| m.get("content"));
            (!told(content)).then_some(MALFORMED)
        }),
    }
}

/// An object of no known kind is no answer where one of a known dialect is expected.
fn shape(map: &Map<String, Value>, dialect: Option<Dialect>) -> Option<Verdict> {
    let known: &[&str] = match dialect? {
        Dialect::Gemini => &["totalTokens", "embedding", "embeddings", "models", "name"],
        Dialect::OpenAiChat => {
            &["data", "object", "id", "message", "text", "result", "results", "response", "output", "embeddings"]
        }
        Dialect::OpenAiResponses => &["object", "id", "output"],
        Dialect::Anthropic => &["input_tokens", "id", "data"],
        _ => return None,
    };
    (!known.iter().any(|key| map.contains_key(*key))).then_some(MALFORMED)
}
