//! Bedrock's messages: the Converse stream's own events, a model's native events in base64, and exceptions.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, Progress, Step, Usage, event};
use crate::{
    error::{Report, bedrock_reason},
    eventstream::{Message, base64},
    lenient::Told,
};

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    bytes: Option<&'a str>,
    #[serde(default)]
    delta: Option<Part>,
    #[serde(default)]
    start: Option<Part>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "stopReason")]
    stop_reason: Option<&'a str>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Told,
    #[serde(default, rename = "toolUse")]
    tool: Told,
    #[serde(default, rename = "reasoningContent")]
    reasoning: Told,
}

/// What one message brought.
pub(super) fn read(message: &Message) -> Progress {
    match message.header(":message-type") {
        Some("exception") => {
            let name = message.header(":exception-type").unwrap_or_default();
            return Progress::error(&Report::of_exception(name, &message.payload));
        }
        Some("error") => {
            let name = message.header(":error-code").unwrap_or_default();
            let text = message.header(":error-message").unwrap_or_default();
            let body = if text.is_empty() { &message.payload[..] } else { text.as_bytes() };
            return Progress::error(&Report::of_exception(name, body));
        }
        _ => {}
    }
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(&message.payload) else {
        return Progress::new(if serde_json::from_slice::<serde::de::IgnoredAny>(&message.payload).is_ok() {
            Step::Lifecycle
        } else {
            Step::Malformed
        });
    };
    if let Some(bytes) = payload.bytes {
        return base64(bytes.as_bytes()).map_or(Progress::new(Step::Malformed), |json| event::read(b"", &json, None));
    }
    let usage = payload.usage.and_then(|usage| Usage::read(usage.get().as_bytes()));
    if let Some(reason) = payload.stop_reason {
        let step = bedrock_reason(reason).map_or(Step::Terminal, |verdict| Step::Error(verdict.failure()));
        return Progress { step, ends: true, usage };
    }
    let part = payload.delta.or(payload.start);
    let content = part.and_then(|part| match part {
        Part { tool: Told(true), .. } => Some(Content::Tool),
        Part { reasoning: Told(true), .. } => Some(Content::Reasoning),
        Part { text: Told(true), .. } => Some(Content::Text),
        _ => None,
    });
    Progress { step: content.map_or(Step::Lifecycle, Step::Content), ends: false, usage }
}
