//! What each dialect's events bring, once they are recognised.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, Progress, Step, Usage, event::Head};
use crate::{
    error::{GUARD, POLICY, chat_reason, gemini_reason},
    lenient::{Small, Told},
};

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    text: Told,
    #[serde(borrow, default)]
    finish_reason: Small<'a>,
    #[serde(borrow, default)]
    native_finish_reason: Small<'a>,
    #[serde(default)]
    pub(super) error: Told,
}

#[derive(Deserialize)]
pub(super) struct Delta {
    #[serde(default)]
    content: Told,
    #[serde(default)]
    refusal: Told,
    #[serde(default)]
    tool_calls: Told,
    #[serde(default)]
    function_call: Told,
    #[serde(default)]
    reasoning_content: Told,
    #[serde(default, alias = "thinking")]
    reasoning: Told,
    #[serde(default)]
    reasoning_details: Told,
    #[serde(default)]
    audio: Told,
    #[serde(default)]
    images: Told,
}

#[derive(Deserialize)]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    content: Option<Parts>,
    #[serde(borrow, default, rename = "finishReason")]
    finish_reason: Small<'a>,
}

#[derive(Deserialize)]
pub(super) struct Parts {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    text: Told,
    #[serde(default)]
    thought: Told,
    #[serde(default, rename = "functionCall")]
    call: Told,
    #[serde(default, rename = "inlineData", alias = "executableCode", alias = "codeExecutionResult", alias = "fileData")]
    other: Told,
}

#[derive(Deserialize)]
pub(super) struct Feedback<'a> {
    #[serde(borrow, default, rename = "blockReason")]
    reason: Small<'a>,
}

/// A delta of Anthropic or Cohere, or a piece of a Response.
#[derive(Default, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Small<'a>,
    #[serde(default)]
    text: Told,
    #[serde(borrow, default, alias = "finish_reason")]
    stop_reason: Small<'a>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    incomplete_details: Option<Incomplete<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Small<'a>,
}

pub(super) fn text<'a>(small: &'a Small<'_>) -> &'a str {
    match small {
        Small::Text(Cow::Borrowed(text)) => text,
        Small::Text(Cow::Owned(text)) => text,
        _ => "",
    }
}

fn piece<'a>(raw: Option<&'a RawValue>) -> Option<Piece<'a>> {
    serde_json::from_str(raw?.get()).ok()
}

fn refused() -> Step {
    Step::Error(POLICY.failure())
}

fn content(kind: Option<Content>) -> Step {
    kind.map_or(Step::Lifecycle, Step::Content)
}

fn bears(delta: &Delta) -> Option<Content> {
    if delta.tool_calls.0 || delta.function_call.0 {
        Some(Content::Tool)
    } else if delta.content.0 || delta.audio.0 || delta.images.0 {
        Some(Content::Text)
    } else if delta.reasoning_content.0 || delta.reasoning.0 || delta.reasoning_details.0 {
        Some(Content::Reasoning)
    } else {
        None
    }
}

pub(super) fn chat(choice: &Choice<'_>) -> Progress {
    let told = choice.delta.as_ref().and_then(bears);
    let refusal = choice.delta.as_ref().is_some_and(|delta| delta.refusal.0);
    let reason = text(&choice.finish_reason);
    let step = match chat_reason(reason, text(&choice.native_finish_reason)) {
        Some(verdict) => Step::Error(verdict.failure()),
        None if refusal => refused(),
        None => content(told.or(choice.text.0.then_some(Content::Text))),
    };
    Progress { step, ends: !reason.is_empty(), usage: None }
}

pub(super) fn gemini(head: &Head<'_>) -> Progress {
    let blocked = head.feedback.as_ref().map_or("", |feedback| text(&feedback.reason));
    if !blocked.is_empty() {
        let verdict = if blocked == "MODEL_ARMOR" { GUARD } else { POLICY };
        return Progress { ends: true, ..Progress::new(Step::Error(verdict.failure())) };
    }
    let candidate = |candidate: &Candidate<'_>| {
        let part = |part: &Part| match part {
            Part { call: Told(true), .. } => Some(Content::Tool),
            Part { text: Told(true), thought: Told(true), .. } => Some(Content::Reasoning),
            Part { text: Told(true), .. } | Part { other: Told(true), .. } => Some(Content::Text),
            _ => None,
        };
        let bears = candidate.content.iter().flat_map(|content| &content.parts).find_map(part);
        let reason = text(&candidate.finish_reason);
        let step = gemini_reason(reason).map_or_else(|| content(bears), |verdict| Step::Error(verdict.failure()));
        Progress { step, ends: !reason.is_empty(), usage: None }
    };
    head.candidates.iter().flatten().map(candidate).reduce(Progress::or).unwrap_or(Progress::new(Step::Lifecycle))
}

pub(super) fn responses(kind: &str, head: &Head<'_>) -> Progress {
    match kind {
        "response.completed" | "response.incomplete" => {
            let whole = piece(head.response).unwrap_or_default();
            let reason = whole.incomplete_details.as_ref().map_or("", |details| text(&details.reason));
            let usage = whole.usage.and_then(|raw| Usage::read(raw.get().as_bytes()));
            Progress { step: if reason == "content_filter" { refused() } else { Step::Terminal }, ends: true, usage }
        }
        "response.refusal.delta" | "response.refusal.done" => Progress::new(refused()),
        "response.output_item.added" | "response.output_item.done" => {
            let item = piece(head.content_block).unwrap_or_default();
            Progress::new(content(text(&item.kind).ends_with("_call").then_some(Content::Tool)))
        }
        _ if !kind.ends_with(".delta") && !kind.ends_with("_text.done") && !kind.contains("partial_image") => {
            Progress::new(Step::Lifecycle)
        }
        _ if kind.contains("reasoning") => Progress::new(Step::Content(Content::Reasoning)),
        _ if kind.contains("_call") => Progress::new(Step::Content(Content::Tool)),
        _ => Progress::new(Step::Content(Content::Text)),
    }
}

/// Anthropic's events, and Cohere's, whose names are written with a hyphen.
pub(super) fn anthropic(kind: &str, head: &Head<'_>) -> Progress {
    match kind {
        "message_start" => {
            let usage = piece(head.message).and_then(|m| Usage::read(m.usage?.get().as_bytes()));
            Progress { usage, ..Progress::new(Step::Lifecycle) }
        }
        "content_block_start" => {
            let block = piece(head.content_block);
            let kind = block.as_ref().map_or("", |block| text(&block.kind));
            Progress::new(content(match kind {
                "redacted_thinking" => Some(Content::Reasoning),
                "text" | "thinking" | "" => block.as_ref().filter(|b| b.text.0).map(|_| Content::Text),
                _ => Some(Content::Tool),
            }))
        }
        "content_block_delta" => {
            let delta = piece(head.delta);
            Progress::new(content(match delta.as_ref().map_or("", |delta| text(&delta.kind)) {
                "thinking_delta" | "signature_delta" => Some(Content::Reasoning),
                "input_json_delta" => Some(Content::Tool),
                "text_delta" => delta.as_ref().filter(|d| d.text.0).map(|_| Content::Text),
                "" => None,
                _ => Some(Content::Text),
            }))
        }
        "message_delta" => {
            let delta = piece(head.delta).unwrap_or_default();
            let reason = text(&delta.stop_reason);
            let step = if reason == "refusal" { refused() } else { Step::Lifecycle };
            Progress { step, ends: !reason.is_empty(), usage: None }
        }
        "message_stop" => Progress { ends: true, ..Progress::new(Step::Terminal) },
        "content-delta" => Progress::new(Step::Content(Content::Text)),
        "tool-plan-delta" => Progress::new(Step::Content(Content::Reasoning)),
        "tool-call-start" | "tool-call-delta" => Progress::new(Step::Content(Content::Tool)),
        "message-end" => {
            let delta = piece(head.delta).unwrap_or_default();
            let step = chat_reason(text(&delta.stop_reason), "").map_or(Step::Terminal, |verdict| Step::Error(verdict.failure()));
            Progress { step, ends: true, usage: None }
        }
        _ => Progress::new(Step::Lifecycle),
    }
}

/// Events without a type or choices: TGI's own, and Ollama's lines.
pub(super) fn plain(head: &Head<'_>) -> Progress {
    let message = head.message.and_then(|raw| serde_json::from_str::<Delta>(raw.get()).ok()).as_ref().and_then(bears);
    let response = head.response.is_some_and(|raw| raw.get().len() > 2 && raw.get().starts_with('"'));
    let text = (head.token.0 || head.generated_text.0 || response).then_some(Content::Text);
    Progress { step: content(message.or(text)), ends: head.generated_text.0 || head.done.0, usage: None }
}
