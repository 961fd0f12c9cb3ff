//! Anthropic Messages.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Refusal, Spoken, frame::named, openai::whole_seconds};
use crate::{answer::Answer, provider_error::ProviderError as E};

pub(super) fn answer(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if !answer.pieces.is_empty() {
        content.push(json!({"type": "text", "text": answer.whole_text()}));
    }
    if let Some(tool) = &answer.tool {
        content.push(json!({"type": "tool_use", "id": "toolu_mock", "name": tool.name, "input": tool.value()}));
    }
    let mut message = message(answer);
    message["content"] = content.into();
    message["stop_reason"] = reason(answer).into();
    if let Some(usage) = answer.usage {
        message["usage"] = json!({"input_tokens": usage.input, "output_tokens": usage.output});
    }
    message
}

pub(super) fn events(answer: &Answer) -> Spoken {
    let mut start = message(answer);
    if let Some(usage) = answer.usage {
        start["usage"] = json!({"input_tokens": usage.input, "output_tokens": 1});
    }
    let mut events = vec![json!({"type": "message_start", "message": start})];
    let mut block = |index: u32, content: Value, ping: bool, deltas: Vec<Value>| {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": content}));
        events.extend(ping.then(|| json!({"type": "ping"})));
        let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": index}));
    };
    let spoken = !answer.pieces.is_empty();
    if spoken {
        let deltas = answer.pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect();
        block(0, json!({"type": "text", "text": ""}), true, deltas);
    }
    if let Some(tool) = &answer.tool {
        let [first, second] = tool.halves();
        let deltas = ["", first, second].map(|part| json!({"type": "input_json_delta", "partial_json": part})).into();
        let start = json!({"type": "tool_use", "id": "toolu_mock", "name": tool.name, "input": {}});
        block(u32::from(spoken), start, !spoken, deltas);
    }
    let mut delta = json!({"type": "message_delta", "delta": {"stop_reason": reason(answer), "stop_sequence": null}});
    if let Some(usage) = answer.usage {
        delta["usage"] = json!({"output_tokens": usage.output});
    }
    events.extend([delta, json!({"type": "message_stop"})]);
    Spoken { opening: 3, events: events.iter().map(named).collect() }
}

pub(super) fn error_event(error: E) -> Bytes {
    named(&body(error).1)
}

pub(super) fn refusal(error: E) -> Refusal {
    let (status, body) = body(error);
    let mut headers = Vec::new();
    if let E::RateLimited(wait) = error {
        let limit = ("anthropic-ratelimit-requests-limit", "50".to_owned());
        headers.extend([limit, ("anthropic-ratelimit-requests-remaining", "0".to_owned())]);
        headers.extend(wait.map(|wait| ("retry-after", whole_seconds(wait))));
    }
    Refusal { status, headers, body }
}

fn body(error: E) -> (u16, Value) {
    let (status, kind, message) = match error {
        E::RateLimited(_) => (429, "rate_limit_error", "This request would exceed the rate limit for your organization."),
        E::QuotaExhausted => (400, "invalid_request_error", "Your credit balance is too low for this request."),
        E::Overloaded => (529, "overloaded_error", "Overloaded"),
        E::ServerError => (500, "api_error", "Internal server error"),
        E::Timeout => (504, "timeout_error", "The request took too long."),
        E::ContextLength => (400, "invalid_request_error", "prompt is too long: 200001 tokens > 200000 maximum"),
        E::ContentPolicy => (400, "invalid_request_error", "Output blocked by content filtering policy"),
        E::Auth => (401, "authentication_error", "invalid x-api-key"),
        E::Permission => (403, "permission_error", "Your API key does not have permission to use this resource."),
        E::NotFound => (404, "not_found_error", "model: mock-model"),
        E::PayloadTooLarge => (413, "request_too_large", "Request exceeds the maximum size"),
        E::InvalidRequest => (400, "invalid_request_error", "messages: Field required"),
    };
    (status, json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"}))
}

fn message(answer: &Answer) -> Value {
    json!({
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": [], "stop_reason": null,
        "stop_sequence": null,
    })
}

const fn reason(answer: &Answer) -> &'static str {
    if answer.tool.is_some() { "tool_use" } else { "end_turn" }
}
