//! From an error to what the caller is told.

use std::time::Duration;

use ::axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use serde_json::{Value, json};
use towline_core::{Dialect, Error, Failure, FailureKind, Origin};

/// The dialect that a path speaks.
pub(super) fn dialect_of(uri: &Uri) -> Option<Dialect> {
    towline_wire::facts::dialect(uri.path())
}

/// The status with which a failure that has no response of its own is answered. The table stands at the [module](super).
#[must_use]
pub fn status_of(failure: &Failure) -> StatusCode {
    use FailureKind as K;
    match failure.kind {
        K::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        K::Untranslatable => StatusCode::BAD_REQUEST,
        K::InvalidRequest if failure.origin == Origin::Caller => StatusCode::BAD_REQUEST,
        K::RateLimited | K::LimitedLocally | K::QuotaExhausted | K::BudgetExhausted => StatusCode::TOO_MANY_REQUESTS,
        K::CircuitOpen | K::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        K::DeadlineExceeded | K::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// An error as a response in `dialect`; OpenAI's where none is known, since most clients read that. The error's
/// [`Call`](towline_core::Call) goes into its extensions.
#[must_use]
pub fn error_response(error: &Error, dialect: Option<Dialect>) -> Response<Body> {
    let mut response = refusal(status_of(error.failure()), error.kind().name(), &error.to_string(), dialect);
    if let Some(after) = error.failure().hint.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    if let Some(call) = error.call() {
        response.extensions_mut().insert(call.clone());
    }
    response
}

/// A refusal of the app's own, as a response in `dialect`; OpenAI's where none is known.
///
/// `code` is one word in snake case for programs to read, where the dialect has a place for one; its type is the dialect's own for
/// `status`. `message` is for people, and must hold no secret.
///
/// ```
/// use http::StatusCode;
/// use towline::{Dialect, axum::refusal};
///
/// let response = refusal(StatusCode::UNAUTHORIZED, "invalid_api_key", "this gateway needs a key of its own", Some(Dialect::Anthropic));
/// assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (401, &"application/json".parse().unwrap()));
/// ```
#[must_use]
pub fn refusal(status: StatusCode, code: &str, message: &str, dialect: Option<Dialect>) -> Response<Body> {
    let mut response = Response::new(Body::from(envelope(status, code, message, dialect).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error within a stream that has begun, as its last event; `None` in a dialect whose streams are no text.
pub(super) fn error_event(error: &Error, dialect: Option<Dialect>) -> Option<Bytes> {
    let (status, code, message) = (status_of(error.failure()), error.kind().name(), error.to_string());
    let text = match dialect {
        Some(Dialect::Bedrock) => return None,
        Some(Dialect::OpenAiResponses) => {
            let body = json!({ "type": "error", "code": code, "message": message, "param": null });
            format!("event: error\ndata: {body}\n\n")
        }
        Some(Dialect::Anthropic) => format!("event: error\ndata: {}\n\n", envelope(status, code, &message, dialect)),
        _ => format!("data: {}\n\n", envelope(status, code, &message, dialect)),
    };
    Some(text.into())
}

/// Rounded up: to come back too early is the one mistake that a hint must not cause.
fn whole_seconds(after: Duration) -> u64 {
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0))
}

fn envelope(status: StatusCode, code: &str, message: &str, dialect: Option<Dialect>) -> Value {
    match dialect {
        Some(Dialect::Anthropic) => json!({ "type": "error", "error": { "type": anthropic_type(status), "message": message } }),
        Some(Dialect::Gemini) => {
            json!({ "error": { "code": status.as_u16(), "message": message, "status": google_status(status) } })
        }
        Some(Dialect::Bedrock) => json!({ "message": message }),
        _ => json!({ "error": { "message": message, "type": openai_type(status), "param": null, "code": code } }),
    }
}

fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    }
}

fn google_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNAVAILABLE",
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn told(kind: FailureKind, path: &'static str) -> (u16, Value) {
        let response = error_response(&Error::new(Failure::new(kind)), dialect_of(&Uri::from_static(path)));
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
    }

    #[tokio::test]
    async fn an_error_is_told_in_the_callers_dialect() {
        let (status, body) = told(FailureKind::CircuitOpen, "/v1/messages").await;
        assert_eq!((status, body["error"]["type"].as_str()), (503, Some("overloaded_error")));
        let (status, body) = told(FailureKind::LimitedLocally, "/v1/chat/completions").await;
        assert_eq!((status, body["error"]["code"].as_str()), (429, Some("limited_locally")));
        let (status, body) = told(FailureKind::DeadlineExceeded, "/v1beta/models/g:generateContent").await;
        assert_eq!((status, body["error"]["status"].as_str()), (504, Some("DEADLINE_EXCEEDED")));
        let (status, body) = told(FailureKind::Transport, "/somewhere").await;
        assert_eq!((status, body["error"]["type"].as_str()), (502, Some("server_error")));
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_mistake_of_the_callers_is_not_the_providers() {
        assert_eq!(status_of(&Failure::new(FailureKind::InvalidRequest).origin(Origin::Caller)), StatusCode::BAD_REQUEST);
        assert_eq!(status_of(&Failure::new(FailureKind::PayloadTooLarge)), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status_of(&Failure::new(FailureKind::Timeout(towline_core::Phase::Head))), StatusCode::GATEWAY_TIMEOUT);
    }
}
