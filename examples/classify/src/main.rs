//! Says what failures really are: JSON lines in, JSON lines out.
//!
//! A line is an answer as a provider sent it: `{"id", "provider", "api", "phase", "status", "headers", "body", "body_encoding"}`. `phase` is
//! `response` for an HTTP error, `semantic` for a 200 whose body says otherwise, `stream` for a 200 with an error among its events;
//! `body_encoding` is `base64` where the body is binary. Out comes `{"id", "class", "retry_same", "fallback", "retry_after_s"}`.
//!
//! With `--limits` a line is `{"id", "provider", "status", "headers", "now"}`, and out comes what the headers tell of limits.
//!
//! ```sh
//! cargo run -p classify < failures.jsonl
//! echo '{"id":1,"status":429,"headers":{},"body":"{\"error\":{\"code\":\"insufficient_quota\"}}"}' | cargo run -p classify
//! ```
//!
//! A line that is no such record is told on stderr, and the program ends with 1 after the last line.

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use towline_core::{Dialect, Failure, FailureKind, RetryVerdict, Scope};
use towline_wire::{
    error::Answer,
    limits::{self, Bucket},
    stream::StreamReader,
};

/// What a line holds; unknown fields are nobody's business.
#[derive(Deserialize)]
struct Record {
    id: Value,
    #[serde(default)]
    api: String,
    #[serde(default)]
    phase: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    body_encoding: Option<String>,
    #[serde(default)]
    now: Option<String>,
}

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let limits = std::env::args().skip(1).any(|arg| arg == "--limits");
    let mut out = io::stdout().lock();
    let mut all_read = true;
    for (nth, line) in io::stdin().lock().lines().enumerate() {
        let answer = line.map_err(Error::from).and_then(|line| match line.trim() {
            "" => Ok(None),
            line => (if limits { tell_limits(line) } else { classify(line) }).map(Some),
        });
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) => {
                if writeln!(out, "{answer}").is_err() {
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("line {}: {error}", nth + 1);
                all_read = false;
            }
        }
    }
    if all_read { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn classify(line: &str) -> Result<Value, Error> {
    let record: Record = serde_json::from_str(line)?;
    let failure = if record.phase == "stream" { of_stream(record.bytes()?) } else { of_answer(&record)? };
    let failure = failure.as_ref();
    Ok(json!({
        "id": record.id,
        "class": class(failure),
        "retry_same": failure.is_some_and(|failure| failure.retry != RetryVerdict::Never),
        "fallback": fallback(failure),
        "retry_after_s": failure.and_then(|failure| failure.hint.retry_after).map(|wait| wait.as_secs_f64()),
    }))
}

fn of_answer(record: &Record) -> Result<Option<Failure>, Error> {
    // An error tells its dialect by itself; whether a success is an answer at all depends on what was asked.
    let dialect = if record.phase == "semantic" { dialect(&record.api) } else { None };
    let (status, headers, body) = (StatusCode::from_u16(record.status)?, record.header_map()?, record.bytes()?);
    Ok(Answer { status, headers: &headers, body: &body, dialect }.failure(wall_clock()))
}

fn of_stream(body: Bytes) -> Option<Failure> {
    let mut reader = StreamReader::new();
    reader.push(body);
    while reader.next_step().is_some() {}
    reader.finish();
    while reader.next_step().is_some() {}
    reader.verdict()
}

fn tell_limits(line: &str) -> Result<Value, Error> {
    let record: Record = serde_json::from_str(line)?;
    let now = record.now.as_deref().map_or(Ok(wall_clock()), instant)?;
    let told = limits::read(&record.header_map()?, now);
    let mut out = json!({ "id": record.id, "retry_after_s": told.retry_after.map(|wait| wait.as_secs_f64()) });
    let buckets: [(&str, Bucket); 4] = [
        ("requests", told.requests),
        ("tokens", told.tokens),
        ("input_tokens", told.input_tokens),
        ("output_tokens", told.output_tokens),
    ];
    for (name, bucket) in buckets {
        out[format!("limit_{name}")] = json!(bucket.limit);
        out[format!("remaining_{name}")] = json!(bucket.remaining);
        out[format!("reset_{name}_s")] = json!(bucket.reset.map(|reset| reset.as_secs_f64()));
    }
    Ok(out)
}

/// An RFC 3339 instant, by the library's own reading of such a reset.
fn instant(text: &str) -> Result<SystemTime, Error> {
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from_str(text)?)]);
    let since: Option<Duration> = limits::read(&headers, SystemTime::UNIX_EPOCH).requests.reset;
    Ok(SystemTime::UNIX_EPOCH + since.ok_or_else(|| format!("`now` is no RFC 3339 instant: {text:?}"))?)
}

/// The class of a failure in the corpus' vocabulary, which is that of the kinds but for what only a client can see.
fn class(failure: Option<&Failure>) -> &'static str {
    match failure.map(|failure| failure.kind) {
        None => "success",
        Some(FailureKind::Malformed | FailureKind::StreamBroken) => "unknown",
        Some(kind) => kind.name(),
    }
}

/// What could help: it follows from what is broken, and where.
fn fallback(failure: Option<&Failure>) -> &'static str {
    use FailureKind as K;
    match failure.map(|failure| (failure.kind, failure.scope)) {
        None | Some((_, Scope::Request)) => "none",
        Some((K::ContextLength, _)) => "larger_context",
        Some((K::ContentPolicy, _)) => "other_policy",
        Some((K::Auth | K::Permission | K::QuotaExhausted, Scope::Credential)) => "other_credential",
        Some(_) => "any",
    }
}

/// The dialect in which an API answers, by its name.
fn dialect(api: &str) -> Option<Dialect> {
    let api = api.to_ascii_lowercase();
    let has = |word| api.contains(word);
    match () {
        () if has("generatecontent") => Some(Dialect::Gemini),
        () if has("converse") || has("invokemodel") => Some(Dialect::Bedrock),
        () if has("responses") => Some(Dialect::OpenAiResponses),
        () if has("messages") && !has("assistants") => Some(Dialect::Anthropic),
        () if has("chat") && has("completions") => Some(Dialect::OpenAiChat),
        () => None,
    }
}

impl Record {
    fn bytes(&self) -> Result<Bytes, Error> {
        match self.body_encoding.as_deref() {
            // What `base64` wraps may be compressed besides (`base64+brotli`): so it came over the wire, and so it is read.
            Some(encoding) if encoding.starts_with("base64") => Ok(BASE64.decode(&self.body)?.into()),
            _ => Ok(Bytes::copy_from_slice(self.body.as_bytes())),
        }
    }

    /// The headers; one that no HTTP stack lets through cannot have reached anybody and is left out.
    fn header_map(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse()?;
            let values = match value {
                Value::Array(values) => values.clone(),
                one => vec![one.clone()],
            };
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                    headers.append(&name, value);
                }
            }
        }
        Ok(headers)
    }
}

const fn ok() -> u16 {
    200
}

/// HTTP-dates can only be read against a wall clock.
#[allow(clippy::disallowed_methods, reason = "an HTTP-date without a `Date` header has nothing else to be read against")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
