//! OpenAI Responses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Spoken, frame::named, openai};
use crate::{
    answer::{Answer, ToolCall, Usage},
    provider_error::ProviderError,
};

pub(super) fn answer(answer: &Answer) -> Value {
    response(answer, "completed")
}

pub(super) fn events(answer: &Answer) -> Spoken {
    let mut events = Events(Vec::new());
    events.add("response.created", json!({"response": response(answer, "in_progress")}));
    events.add("response.in_progress", json!({"response": response(answer, "in_progress")}));
    let mut opening = 2;
    let mut index = 0;
    if !answer.pieces.is_empty() {
        opening = 4;
        events.text(answer);
        index = 1;
    }
    if let Some(tool) = &answer.tool {
        events.tool(tool, index);
    }
    events.add("response.completed", json!({"response": response(answer, "completed")}));
    Spoken { opening, events: events.0 }
}

pub(super) fn error_event(error: ProviderError) -> Bytes {
    let mut event = openai::error(error, "input");
    // The event's own type takes the place of the error's.
    let code = if event["code"].is_null() { event["type"].take() } else { event["code"].take() };
    event["type"] = "error".into();
    event["code"] = code;
    event["sequence_number"] = 0.into();
    named(&event)
}

/// The events so far, numbered.
struct Events(Vec<Bytes>);

impl Events {
    fn add(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.0.len().into();
        self.0.push(named(&event));
    }

    fn text(&mut self, answer: &Answer) {
        let place = |more: Value| {
            let mut event = json!({"item_id": "msg_mock", "output_index": 0, "content_index": 0});
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        let text = answer.whole_text();
        self.add("response.output_item.added", json!({"output_index": 0, "item": message(None)}));
        self.add("response.content_part.added", place(json!({"part": part("")})));
        for piece in &answer.pieces {
            self.add("response.output_text.delta", place(json!({"delta": piece, "logprobs": []})));
        }
        self.add("response.output_text.done", place(json!({"text": text, "logprobs": []})));
        self.add("response.content_part.done", place(json!({"part": part(&text)})));
        self.add("response.output_item.done", json!({"output_index": 0, "item": message(Some(&text))}));
    }

    fn tool(&mut self, tool: &ToolCall, index: u32) {
        let added = call(&ToolCall { arguments: String::new(), ..tool.clone() }, "in_progress");
        self.add("response.output_item.added", json!({"output_index": index, "item": added}));
        for half in tool.halves() {
            let delta = json!({"item_id": "fc_mock", "output_index": index, "delta": half});
            self.add("response.function_call_arguments.delta", delta);
        }
        let done = json!({"item_id": "fc_mock", "output_index": index, "arguments": tool.arguments});
        self.add("response.function_call_arguments.done", done);
        self.add("response.output_item.done", json!({"output_index": index, "item": call(tool, "completed")}));
    }
}

fn response(answer: &Answer, status: &str) -> Value {
    let done = status == "completed";
    let mut output = Vec::new();
    if done && !answer.pieces.is_empty() {
        output.push(message(Some(&answer.whole_text())));
    }
    if let Some(tool) = answer.tool.as_ref().filter(|_| done) {
        output.push(call(tool, "completed"));
    }
    json!({
        "id": answer.id, "object": "response", "created_at": 0, "status": status, "error": null, "incomplete_details": null,
        "model": answer.model, "output": output, "usage": answer.usage.filter(|_| done).map(usage),
    })
}

fn message(text: Option<&str>) -> Value {
    let status = if text.is_some() { "completed" } else { "in_progress" };
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({"id": "msg_mock", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn call(tool: &ToolCall, status: &str) -> Value {
    json!({
        "id": "fc_mock", "type": "function_call", "status": status, "call_id": "call_mock", "name": tool.name,
        "arguments": tool.arguments,
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": usage.input.saturating_add(usage.output),
    })
}
