//! A text as a whole answer, in the caller's dialect.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};
use towline_core::{Dialect, Facts};

const ID: &str = "degraded";

/// `text` as the answer to a request with these facts; `None` for Bedrock's binary streams. A dialect that is not known is answered as
/// OpenAI's, which most clients read.
pub(super) fn text(facts: &Facts, text: &str) -> Option<Response<Vec<Bytes>>> {
    let model = facts.model.as_deref().unwrap_or_default();
    let dialect = facts.dialect.unwrap_or(Dialect::OpenAiChat);
    let (kind, chunks) = if facts.stream {
        ("text/event-stream", stream(dialect, model, text)?)
    } else {
        ("application/json", vec![whole(dialect, model, text).to_string().into()])
    };
    let mut response = Response::new(chunks);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(response)
}

fn whole(dialect: Dialect, model: &str, text: &str) -> Value {
    match dialect {
        Dialect::Anthropic => json!({
            "id": ID, "type": "message", "role": "assistant", "model": model, "content": [{ "type": "text", "text": text }],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
        }),
        Dialect::OpenAiResponses => responses(model, text),
        Dialect::Gemini => gemini(model, text),
        Dialect::Bedrock => json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } }, "stopReason": "end_turn",
            "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
        }),
        _ => json!({
            "id": ID, "object": "chat.completion", "created": 0, "model": model,
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 },
        }),
    }
}

fn responses(model: &str, text: &str) -> Value {
    let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
    json!({
        "id": ID, "object": "response", "created_at": 0, "status": "completed", "model": model,
        "output": [{ "id": ID, "type": "message", "role": "assistant", "status": "completed", "content": content }],
        "usage": { "input_tokens": 0, "output_tokens": 0, "total_tokens": 0 },
    })
}

fn gemini(model: &str, text: &str) -> Value {
    json!({
        "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] }, "finishReason": "STOP", "index": 0 }],
        "modelVersion": model, "usageMetadata": { "promptTokenCount": 0, "totalTokenCount": 0 },
    })
}

fn stream(dialect: Dialect, model: &str, text: &str) -> Option<Vec<Bytes>> {
    let unnamed = |data: String| Bytes::from(format!("data: {data}\n\n"));
    let named = |data: Value| {
        let name = data.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
    };
    Some(match dialect {
        Dialect::Bedrock => return None,
        Dialect::Gemini => vec![unnamed(gemini(model, text).to_string())],
        Dialect::Anthropic => anthropic_events(model, text).into_iter().map(named).collect(),
        Dialect::OpenAiResponses => responses_events(model, text).into_iter().map(named).collect(),
        _ => {
            let chunk = |delta: Value, reason: Value| {
                let choices = json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
                json!({ "id": ID, "object": "chat.completion.chunk", "created": 0, "model": model, "choices": choices })
                    .to_string()
            };
            let said = chunk(json!({ "role": "assistant", "content": text }), Value::Null);
            [said, chunk(json!({}), "stop".into()), "[DONE]".to_owned()].map(unnamed).into()
        }
    })
}

fn anthropic_events(model: &str, text: &str) -> [Value; 6] {
    let message = json!({
        "id": ID, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
    });
    [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 0 },
        }),
        json!({ "type": "message_stop" }),
    ]
}

fn responses_events(model: &str, text: &str) -> [Value; 8] {
    let done = responses(model, text);
    let mut begun = done.clone();
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    let (item, part) = (done["output"][0].clone(), done["output"][0]["content"][0].clone());
    let mut opened = item.clone();
    opened["status"] = "in_progress".into();
    opened["content"] = json!([]);
    let empty = json!({ "type": "output_text", "text": "", "annotations": [] });
    let mut events = [
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": opened }),
        json!({ "type": "response.content_part.added", "item_id": ID, "output_index": 0, "content_index": 0, "part": empty }),
        json!({ "type": "response.output_text.delta", "item_id": ID, "output_index": 0, "content_index": 0, "delta": text }),
        json!({ "type": "response.output_text.done", "item_id": ID, "output_index": 0, "content_index": 0, "text": text }),
        json!({ "type": "response.content_part.done", "item_id": ID, "output_index": 0, "content_index": 0, "part": part }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": done }),
    ];
    for (nth, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = nth.into();
    }
    events
}
