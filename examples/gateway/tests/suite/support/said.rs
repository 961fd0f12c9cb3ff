//! What a model said, read out of an answer as a client does.

use serde_json::Value;
use towline_testkit::Dialect;

use super::ask::Answer;

/// What a caller has after an answer, whole or streamed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) model: Option<String>,
    /// The tokens of the answer, if they were told.
    pub(crate) tokens: Option<u64>,
    /// Whether it was said that the answer is whole.
    pub(crate) finished: bool,
    /// What was said to have gone wrong.
    pub(crate) error: Option<String>,
    /// Events, or a body, that no client can read.
    pub(crate) unreadable: usize,
}

impl Said {
    pub(crate) fn read(dialect: Dialect, answer: &Answer) -> Self {
        let mut said = Self::default();
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            for event in answer.text().split_inclusive("\n\n") {
                said.event(dialect, event);
            }
        } else {
            said.document(dialect, &answer.json());
        }
        said
    }

    fn event(&mut self, dialect: Dialect, event: &str) {
        let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        let whole = event.ends_with("\n\n");
        match data.as_str() {
            "" => self.unreadable += usize::from(!whole),
            "[DONE]" => {}
            _ => match serde_json::from_str(&data) {
                Ok(event) if whole && dialect == Dialect::Anthropic => self.anthropic(&event),
                Ok(event) if whole => self.chunk(&event),
                _ => self.unreadable += 1,
            },
        }
    }

    fn document(&mut self, dialect: Dialect, body: &Value) {
        if body.is_null() {
            self.unreadable += 1;
        }
        self.error = text(&body["error"]["message"]);
        self.model = text(&body["model"]);
        let (said, ended, tokens) = match dialect {
            Dialect::Anthropic => (&body["content"][0]["text"], &body["stop_reason"], &body["usage"]["output_tokens"]),
            _ => {
                let choice = &body["choices"][0];
                (&choice["message"]["content"], &choice["finish_reason"], &body["usage"]["completion_tokens"])
            }
        };
        self.text = text(said).unwrap_or_default();
        (self.finished, self.tokens) = (ended.is_string(), tokens.as_u64());
    }

    fn chunk(&mut self, event: &Value) {
        let choice = &event["choices"][0];
        self.text += choice["delta"]["content"].as_str().unwrap_or_default();
        self.finished |= choice["finish_reason"].is_string();
        self.common(event, &event["model"], &event["usage"]["completion_tokens"]);
    }

    fn anthropic(&mut self, event: &Value) {
        self.text += event["delta"]["text"].as_str().unwrap_or_default();
        self.finished |= event["delta"]["stop_reason"].is_string();
        self.common(event, &event["message"]["model"], &event["usage"]["output_tokens"]);
    }

    fn common(&mut self, event: &Value, model: &Value, tokens: &Value) {
        self.model = self.model.take().or_else(|| text(model));
        self.tokens = tokens.as_u64().or(self.tokens);
        self.error = self.error.take().or_else(|| text(&event["error"]["message"]));
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
