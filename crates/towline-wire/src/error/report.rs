//! Whatever the envelope: the codes, the words and the numbers of an error, collected in one walk.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use towline_core::decimal_seconds;

use crate::duration;

/// As much of the messages is read; more is an echo of the prompt.
const TEXT: usize = 8 * 1024;
/// As many values are looked at.
const VALUES: usize = 600;
/// As deep are JSON texts inside JSON strings followed.
const DEPTH: usize = 12;
const CODES: usize = 32;

/// What an error says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The HTTP status, or the one that the envelope tells inside a 200; 0 where none is known.
    pub(crate) status: u16,
    /// Codes, types, reasons and exception names from all levels, in lower case.
    pub(crate) codes: Vec<String>,
    /// The messages from all levels, in lower case.
    pub(crate) text: String,
    /// Google's `quotaId`s and limits.
    pub(crate) quota: Quota,
    /// Google's `RetryInfo`.
    pub(crate) retry_info: Option<Duration>,
    /// `retry_after`, `resets_in_seconds` or `estimated_time`.
    pub(crate) wait: Option<Duration>,
    /// The status that the envelope tells.
    told: Option<u16>,
    /// Whether this is an envelope at all, rather than a page or somebody's text.
    pub(crate) envelope: bool,
    seen: usize,
}

/// What Google tells about quotas.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quota {
    pub(crate) per_minute: bool,
    pub(crate) per_day: bool,
    pub(crate) zero: bool,
}

impl Report {
    /// Reads a body of an HTTP answer; the status is that of the answer, or the envelope's where the answer's is a success.
    pub(crate) fn of_body(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut report = Self::default();
        for name in ["x-amzn-errortype", "x-error-code", "x-error-type"] {
            report.header_code(headers, name);
        }
        match serde_json::from_slice::<Value>(body).or_else(|_| serde_json::from_slice(&blanked(body))) {
            Ok(value) => report.envelope(&value),
            Err(_) => report.plain(body),
        }
        if let Some(text) = headers.get("x-error-message").and_then(|v| v.to_str().ok()) {
            report.envelope = true;
            report.message(text, 0);
        }
        report.settle(status.as_u16())
    }

    /// Reads an error that stands in a 200: in a JSON answer or in an event of a stream.
    pub(crate) fn of_value(value: &Value) -> Self {
        let mut report = Self::default();
        report.envelope(value);
        report.settle(200)
    }

    /// An exception of a binary event stream: a name beside the body.
    pub(crate) fn of_exception(name: &str, body: &[u8]) -> Self {
        let mut report = Self::default();
        report.code(name);
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => report.envelope(&value),
            Err(_) => {
                report.envelope = true;
                report.message(&String::from_utf8_lossy(body), 0);
            }
        }
        report.settle(200)
    }

    /// The same report where the provider told the status elsewhere.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The codes as words, for what no table knows: `monthly_quota_reached`. Nothing else is in it.
    pub(crate) fn spoken(&self) -> Self {
        let named = |code: &&String| code.contains('_') && !code.starts_with("invalid_");
        let text = self.codes.iter().filter(named).map(|code| code.replace('_', " ")).collect::<Vec<_>>().join("\n");
        Self { status: self.status, text, ..Self::default() }
    }

    fn settle(mut self, status: u16) -> Self {
        self.status = if (400..600).contains(&status) { status } else { self.told.unwrap_or(0) };
        self
    }

    fn header_code(&mut self, headers: &HeaderMap, name: &str) {
        if let Some(code) = headers.get(name).and_then(|v| v.to_str().ok()) {
            self.envelope = true;
            // AWS appends a URI: `ThrottlingException:http://...`.
            self.code(code.split(':').next().unwrap_or(code));
        }
    }

    fn envelope(&mut self, value: &Value) {
        self.envelope = true;
        if let Value::String(text) = value {
            self.message(text, 0);
        } else {
            self.value(value, 0);
        }
    }

    /// A body that is not JSON: an event of its own, a proxy's line of text, or a page that tells nothing.
    fn plain(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body.get(..TEXT.min(body.len())).unwrap_or_default());
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('<') || text.contains("</html>") {
            // Its words are a proxy's, but the wait is as good as any.
            self.wait = duration::prose(&text.to_ascii_lowercase());
            return;
        }
        let mut events = text.lines().filter_map(|line| line.strip_prefix("data:")).peekable();
        if events.peek().is_some() {
            for line in events {
                if let Ok(value) = serde_json::from_str::<Value>(line) {
                    self.envelope(&value);
                }
            }
            return;
        }
        self.message(text, 0);
    }

    fn value(&mut self, value: &Value, depth: usize) {
        self.seen += 1;
        if depth > DEPTH || self.seen > VALUES {
            return;
        }
        match value {
            Value::Object(map) => self.object(map, depth),
            Value::Array(list) => {
                for item in list {
                    match item {
                        Value::String(text) => self.message(text, depth + 1),
                        item => self.value(item, depth + 1),
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, map: &Map<String, Value>, depth: usize) {
        if map.get("@type").and_then(Value::as_str).is_some_and(|t| t.ends_with("RetryInfo")) {
            let told = map.get("retryDelay").and_then(Value::as_str).and_then(duration::go);
            self.retry_info = self.retry_info.or(told);
        }
        for (key, value) in map {
            match (key.as_str(), value) {
                (
                    "input" | "failed_generation" | "previous_errors" | "links" | "output" | "instructions" | "tools" | "usage"
                    | "messages" | "@type" | "request_id" | "id" | "user_id",
                    _,
                ) => {}
                ("quotaId" | "quota_limit", Value::String(id)) => self.quota_id(id),
                ("quotaValue" | "quota_limit_value", Value::String(n)) => self.quota.zero |= n == "0",
                ("content_filter_result" | "content_filter_results", _) => self.code("content_filter"),
                (
                    "retry_after"
                    | "retry-after"
                    | "retryAfter"
                    | "retry_after_seconds"
                    | "retryAfterSeconds"
                    | "retry_after_s"
                    | "resets_in_seconds"
                    | "estimated_time",
                    value,
                ) => self.wait = self.wait.or_else(|| seconds(value)),
                ("retry_after_ms" | "retryAfterMs", value) => self.wait = self.wait.or_else(|| Some(seconds(value)? / 1000)),
                ("base_resp", Value::Object(base)) => {
                    // MiniMax' numbers are others' too, with other meanings.
                    if let Some(code) = base.get("status_code").and_then(Value::as_i64) {
                        self.code(&format!("minimax:{code}"));
                    }
                    if let Some(text) = base.get("status_msg").and_then(Value::as_str) {
                        self.message(text, depth + 1);
                    }
                }
                ("code" | "status" | "status_code" | "http_status_code" | "statusCode", Value::Number(n)) => {
                    let status = n.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n));
                    self.told = self.told.or(status);
                    if status.is_none() {
                        self.code(&n.to_string());
                    }
                }
                (
                    "code" | "type" | "status" | "reason" | "error_type" | "error_code" | "errorCode" | "__type" | "errorType"
                    | "blockReason",
                    Value::String(code),
                ) => self.code(code),
                ("param", Value::String(param)) => self.code(&format!("param:{param}")),
                (
                    "message" | "Message" | "msg" | "detail" | "details" | "title" | "error" | "error_message" | "description"
                    | "html-message" | "raw" | "errors" | "errorMessage",
                    Value::String(text),
                ) => self.message(text, depth + 1),
                (_, value @ (Value::Object(_) | Value::Array(_))) => self.value(value, depth + 1),
                _ => {}
            }
        }
    }

    fn quota_id(&mut self, id: &str) {
        let id = id.to_ascii_lowercase();
        self.quota.per_day |= id.contains("perday") || id.contains("daily");
        self.quota.per_minute |= id.contains("perminute");
    }

    /// A code of any kind; some are numbers, some are sentences.
    fn code(&mut self, code: &str) {
        if self.codes.len() >= CODES || code.is_empty() || code.len() > 256 {
            return;
        }
        if let Some(status) = code.parse::<u16>().ok().filter(|n| (400..600).contains(n)) {
            self.told = self.told.or(Some(status));
        }
        // `com.amazon.bedrock#ThrottlingException`, `InternalError.Algo.InvalidParameter`.
        let name = code.rsplit(['#', '/']).next().unwrap_or(code);
        self.codes.push(name.to_ascii_lowercase());
    }

    /// A message, and the error that a proxy has put into it as JSON.
    fn message(&mut self, text: &str, depth: usize) {
        self.seen += 1;
        if depth > DEPTH || self.seen > VALUES || !self.push_text(text) {
            return;
        }
        if let Some(code) = trailing_code(text) {
            self.code(&format!("minimax:{code}"));
        }
        let inner = text.find(['{', '[']).and_then(|at| text.get(at..));
        let value = inner.and_then(|json| serde_json::Deserializer::from_str(json).into_iter::<Value>().next());
        if let Some(Ok(value @ (Value::Object(_) | Value::Array(_)))) = value {
            self.value(&value, depth + 1);
        }
    }

    /// Adds as much as there is room for; `false` if there is none.
    fn push_text(&mut self, text: &str) -> bool {
        let room = TEXT.saturating_sub(self.text.len()).min(text.len());
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(&text.get(..end).unwrap_or_default().to_ascii_lowercase());
        self.text.push('\n');
        room > 0
    }
}

/// The `(2013)` at the end of a text: so MiniMax tells its codes where another provider's envelope has no place for them.
fn trailing_code(text: &str) -> Option<&str> {
    let (_, code) = text.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    (code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
}

/// The body with its control characters blanked: some providers send line breaks inside JSON strings.
fn blanked(body: &[u8]) -> Vec<u8> {
    body.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }).collect()
}

fn seconds(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(n) => decimal_seconds(&n.to_string()),
        Value::String(text) => duration::go(text).or_else(|| decimal_seconds(text)),
        _ => None,
    }
}
