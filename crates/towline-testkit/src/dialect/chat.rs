//! OpenAI Chat Completions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Spoken, frame::data, openai};
use crate::{
    answer::{Answer, Usage},
    provider_error::ProviderError,
};

pub(super) fn answer(answer: &Answer) -> Value {
    let text = answer.whole_text();
    let mut message = json!({"role": "assistant", "content": if text.is_empty() { None } else { Some(text) }, "refusal": null});
    if let Some(tool) = &answer.tool {
        message["tool_calls"] = json!([{
            "id": "call_mock", "type": "function", "function": {"name": tool.name, "arguments": tool.arguments},
        }]);
    }
    let mut whole = json!({
        "id": answer.id, "object": "chat.completion", "created": 0, "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason(answer)}],
    });
    if let Some(told) = answer.usage {
        whole["usage"] = usage(told);
    }
    whole
}

pub(super) fn events(answer: &Answer) -> Spoken {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": answer.id, "object": "chat.completion.chunk", "created": 0, "model": answer.model, "choices": choices,
        });
        if answer.usage.is_some() {
            chunk["usage"] = usage;
        }
        data(&chunk)
    };
    let choice = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), Value::Null)
    };
    let mut events = vec![choice(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    events.extend(answer.pieces.iter().map(|piece| choice(json!({"content": piece}), None)));
    if let Some(tool) = &answer.tool {
        let named = json!({"name": tool.name, "arguments": ""});
        events
            .push(choice(json!({"tool_calls": [{"index": 0, "id": "call_mock", "type": "function", "function": named}]}), None));
        let half = |half: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": half}}]});
        events.extend(tool.halves().map(|part| choice(half(part), None)));
    }
    events.push(choice(json!({}), Some(reason(answer))));
    if let Some(told) = answer.usage {
        events.push(chunk(json!([]), usage(told)));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Spoken { opening: 1, events }
}

pub(super) fn error_event(error: ProviderError) -> Bytes {
    data(&json!({"error": openai::error(error, "messages")}))
}

const fn reason(answer: &Answer) -> &'static str {
    if answer.tool.is_some() { "tool_calls" } else { "stop" }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output), "prompt_tokens_details": {"cached_tokens": 0},
    })
}
