//! One event's data: recognised by its keys, read without a tree.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Progress, Step, Usage,
    dialect::{Candidate, Choice, Feedback, anthropic, chat, gemini, plain, responses, text},
};
use crate::{
    error::{Report, Said, read_answer},
    lenient::{Small, Told},
};

/// The keys that tell what an event is. What has several types in several dialects stays raw.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Small<'a>,
    #[serde(borrow, default)]
    pub(super) object: Small<'a>,
    #[serde(default)]
    pub(super) error: Told,
    #[serde(default)]
    pub(super) errors: Told,
    #[serde(default, alias = "last_error")]
    pub(super) error_type: Told,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, default, rename = "promptFeedback")]
    pub(super) feedback: Option<Feedback<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "item")]
    pub(super) content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "usageMetadata")]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) token: Told,
    #[serde(default)]
    pub(super) generated_text: Told,
    #[serde(default)]
    pub(super) done: Told,
    #[serde(default, rename = "base_resp")]
    pub(super) base: Option<&'a RawValue>,
}

/// What an event brought; `status` is one that the provider told beside it.
pub(super) fn read(name: &[u8], data: &[u8], status: Option<u16>) -> Progress {
    let data = data.trim_ascii();
    if data.is_empty() {
        return Progress::new(Step::Lifecycle);
    }
    if data == b"[DONE]" {
        return Progress { ends: true, ..Progress::new(Step::Terminal) };
    }
    // UTF-8 is checked once as a whole, which is cheaper than string by string. A list would pass for the head's fields in order.
    let head = std::str::from_utf8(data)
        .ok()
        .filter(|text| text.starts_with('{'))
        .and_then(|text| serde_json::from_str::<Head<'_>>(text).ok());
    let Some(head) = head else { return odd(name, data, status) };
    let kind = text(&head.kind);
    let said =
        name == b"error" || kind == "error" || text(&head.object) == "error" || (status.is_some() && head.choices.is_none());
    let told = head.error.0 || head.errors.0 || head.error_type.0 || head.base.is_some();
    let marked = said || told || kind == "response.failed" || head.choices.iter().flatten().any(|choice| choice.error.0);
    if marked && let Some(progress) = failed(data, said, status) {
        return progress;
    }
    let usage = |raw: Option<&RawValue>| raw.and_then(|raw| Usage::read(raw.get().as_bytes()));
    let progress = if let Some(choices) = &head.choices {
        choices.iter().map(chat).reduce(Progress::or).unwrap_or(Progress::new(Step::Lifecycle))
    } else if head.candidates.is_some() || head.feedback.is_some() {
        gemini(&head)
    } else if kind.starts_with("response.") {
        responses(kind, &head)
    } else if kind.is_empty() {
        plain(&head)
    } else {
        anthropic(kind, &head)
    };
    Progress { usage: usage(head.usage).or(progress.usage), ..progress }
}

/// An event whose keys have types that no dialect gives them, or that is no JSON at all.
fn odd(name: &[u8], data: &[u8], status: Option<u16>) -> Progress {
    match serde_json::from_slice::<Value>(data) {
        // A list of one error is Google's.
        Ok(value @ (Value::Object(_) | Value::Array(_))) => {
            let error = name == b"error"
                || status.is_some()
                || read_answer(&value, None).is_some_and(|said| matches!(said, Said::Error(_)));
            if error { with_status(&Report::of_value(&value), status) } else { Progress::new(Step::Lifecycle) }
        }
        Ok(_) if name == b"error" => with_status(&Report::of_value(&Value::from(String::from_utf8_lossy(data))), status),
        Ok(_) => Progress::new(Step::Lifecycle),
        Err(_) if name == b"error" => with_status(&Report::of_value(&Value::from(String::from_utf8_lossy(data))), status),
        Err(_) => Progress::new(Step::Malformed),
    }
}

/// An event that has the marks of an error, if it is one.
fn failed(data: &[u8], said: bool, status: Option<u16>) -> Option<Progress> {
    let value: Value = serde_json::from_slice(data).ok()?;
    let error = match read_answer(&value, None) {
        Some(Said::Error(error)) => error,
        _ if said
            || value.get("type").and_then(Value::as_str) == Some("response.failed")
            || value.get("error_type").is_some()
            || value.get("last_error").is_some() =>
        {
            &value
        }
        _ => return None,
    };
    Some(with_status(&Report::of_value(error), status))
}

fn with_status(report: &Report, status: Option<u16>) -> Progress {
    match status {
        Some(status) => Progress::error(&report.clone().with_status(status)),
        None => Progress::error(report),
    }
}
