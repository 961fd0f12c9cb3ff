//! Bedrock Converse.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Refusal, Spoken, frame::message, openai::whole_seconds};
use crate::{
    answer::{Answer, Usage},
    provider_error::ProviderError as E,
};

pub(super) fn answer(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if !answer.pieces.is_empty() {
        content.push(json!({"text": answer.whole_text()}));
    }
    if let Some(tool) = &answer.tool {
        content.push(json!({"toolUse": {"toolUseId": "tooluse_mock", "name": tool.name, "input": tool.value()}}));
    }
    let mut whole = json!({
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason(answer), "metrics": {"latencyMs": 1},
    });
    if let Some(told) = answer.usage {
        whole["usage"] = usage(told);
    }
    whole
}

pub(super) fn events(answer: &Answer) -> Spoken {
    let mut events = vec![event("messageStart", &json!({"role": "assistant"}))];
    let mut delta = |index: u32, delta: Value| {
        events.push(event("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta})));
    };
    let spoken = u32::from(!answer.pieces.is_empty());
    answer.pieces.iter().for_each(|piece| delta(0, json!({"text": piece})));
    let stop = |index: u32| event("contentBlockStop", &json!({"contentBlockIndex": index}));
    if spoken == 1 {
        events.push(stop(0));
    }
    if let Some(tool) = &answer.tool {
        let start = json!({"toolUse": {"toolUseId": "tooluse_mock", "name": tool.name}});
        events.push(event("contentBlockStart", &json!({"contentBlockIndex": spoken, "start": start})));
        let half = |half: &str| json!({"contentBlockIndex": spoken, "delta": {"toolUse": {"input": half}}});
        events.extend(tool.halves().map(|part| event("contentBlockDelta", &half(part))));
        events.push(stop(spoken));
    }
    events.push(event("messageStop", &json!({"stopReason": reason(answer)})));
    let mut metadata = json!({"metrics": {"latencyMs": 1}});
    if let Some(told) = answer.usage {
        metadata["usage"] = usage(told);
    }
    events.push(event("metadata", &metadata));
    Spoken { opening: 1, events }
}

pub(super) fn error_event(error: E) -> Bytes {
    let (_, name, text) = exception(error);
    // Within a stream the same names begin with a small letter.
    let (first, rest) = name.split_at(1);
    let name = format!("{}{rest}", first.to_lowercase());
    let headers = [(":exception-type", name.as_str()), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, json!({"message": text}).to_string().as_bytes())
}

pub(super) fn refusal(error: E) -> Refusal {
    let (status, name, text) = exception(error);
    let mut headers = vec![("x-amzn-errortype", format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"))];
    headers.extend(error.retry_after().map(|wait| ("retry-after", whole_seconds(wait))));
    Refusal { status, headers, body: json!({"message": text}) }
}

const fn exception(error: E) -> (u16, &'static str, &'static str) {
    match error {
        E::RateLimited(_) => (429, "ThrottlingException", "Too many requests, please wait before trying again."),
        E::QuotaExhausted => (400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."),
        E::Overloaded => (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
        E::ServerError => (500, "InternalServerException", "An internal server error occurred."),
        E::Timeout => (408, "ModelTimeoutException", "The request took too long to process."),
        E::ContextLength => (400, "ValidationException", "Input is too long for requested model."),
        E::ContentPolicy => (400, "ValidationException", "Output blocked by content filtering policy"),
        E::Auth => (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
        E::Permission => (403, "AccessDeniedException", "Your account is not authorized to invoke this API operation."),
        E::NotFound => (404, "ResourceNotFoundException", "This model version has reached the end of its life."),
        E::PayloadTooLarge => (
            400,
            "ValidationException",
            "Value at 'body' failed to satisfy constraint: Member must have length less than or equal to 25000000",
        ),
        E::InvalidRequest => (400, "ValidationException", "The messages field is blank."),
    }
}

/// An ordinary event of the stream.
fn event(name: &str, payload: &Value) -> Bytes {
    framed(name, &payload.to_string())
}

/// An event with a payload that need not be JSON.
pub(super) fn raw_event(payload: &str) -> Bytes {
    framed("contentBlockDelta", payload)
}

fn framed(name: &str, payload: &str) -> Bytes {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload.as_bytes())
}

const fn reason(answer: &Answer) -> &'static str {
    if answer.tool.is_some() { "tool_use" } else { "end_turn" }
}

fn usage(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.input, "outputTokens": usage.output, "totalTokens": usage.input.saturating_add(usage.output),
    })
}
