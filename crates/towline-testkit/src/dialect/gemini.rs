//! Gemini `generateContent`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Refusal, Spoken};
use crate::{
    answer::{Answer, Usage},
    provider_error::ProviderError as E,
};

pub(super) fn answer(answer: &Answer) -> Value {
    let mut parts = Vec::new();
    if !answer.pieces.is_empty() {
        parts.push(json!({"text": answer.whole_text()}));
    }
    parts.extend(call(answer));
    response(answer, &parts.into(), true)
}

pub(super) fn events(answer: &Answer) -> Spoken {
    let text = |text: &str| json!({"text": text});
    let mut events: Vec<_> = answer.pieces.iter().map(|piece| response(answer, &json!([text(piece)]), false)).collect();
    events.extend(call(answer).map(|call| response(answer, &json!([call]), false)));
    events.push(response(answer, &json!([text("")]), true));
    Spoken { opening: 0, events: events.iter().map(data).collect() }
}

pub(super) fn error_event(error: E) -> Bytes {
    data(&refusal(error).body)
}

pub(super) fn refusal(error: E) -> Refusal {
    let (code, status, message, details) = match error {
        E::RateLimited(wait) => {
            let delay = wait.map(|wait| json!([{"@type": typed("RetryInfo"), "retryDelay": seconds(wait)}]));
            (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", delay)
        }
        E::QuotaExhausted => {
            let quota = json!({"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"});
            let details = json!([{"@type": typed("QuotaFailure"), "violations": [quota]}]);
            (429, "RESOURCE_EXHAUSTED", "The quota of this project is used up.", Some(details))
        }
        E::Overloaded => (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", None),
        E::ServerError => (500, "INTERNAL", "An internal error has occurred.", None),
        E::Timeout => (504, "DEADLINE_EXCEEDED", "The service could not finish in time.", None),
        E::ContextLength => {
            let message = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).";
            (400, "INVALID_ARGUMENT", message, None)
        }
        E::ContentPolicy => return Refusal { status: 200, headers: Vec::new(), body: blocked() },
        E::Auth => {
            let details = json!([{"@type": typed("ErrorInfo"), "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
            (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", Some(details))
        }
        E::Permission => (403, "PERMISSION_DENIED", "The caller does not have permission.", None),
        E::NotFound => (404, "NOT_FOUND", "models/mock-model is not found for API version v1beta.", None),
        E::PayloadTooLarge => (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", None),
        E::InvalidRequest => (400, "INVALID_ARGUMENT", "contents is not specified", None),
    };
    let mut error = json!({"code": code, "message": message, "status": status});
    if let Some(details) = details {
        error["details"] = details;
    }
    Refusal { status: code, headers: Vec::new(), body: json!({"error": error}) }
}

/// A prompt that was refused: there is no candidate.
fn blocked() -> Value {
    json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "mock-model",
        "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12},
    })
}

fn response(answer: &Answer, parts: &Value, last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        candidate["finishReason"] = "STOP".into();
    }
    let mut response = json!({"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.id});
    if let Some(told) = answer.usage {
        response["usageMetadata"] = usage(told, last);
    }
    response
}

/// Each response tells what is known so far.
fn usage(usage: Usage, last: bool) -> Value {
    let mut told = json!({"promptTokenCount": usage.input, "totalTokenCount": usage.input});
    if last {
        told["candidatesTokenCount"] = usage.output.into();
        told["totalTokenCount"] = usage.input.saturating_add(usage.output).into();
    }
    told
}

fn call(answer: &Answer) -> Option<Value> {
    answer.tool.as_ref().map(|tool| json!({"functionCall": {"name": tool.name, "args": tool.value()}}))
}

fn typed(name: &str) -> String {
    format!("type.googleapis.com/google.rpc.{name}")
}

fn seconds(wait: std::time::Duration) -> String {
    match wait.subsec_nanos() {
        0 => format!("{}s", wait.as_secs()),
        nanos => format!("{}.{nanos:09}s", wait.as_secs()),
    }
}

fn data(json: &Value) -> Bytes {
    format!("data: {json}\r\n\r\n").into()
}
