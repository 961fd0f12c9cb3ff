//! OpenAI's errors, which Chat Completions and Responses share.

use std::time::Duration;

use serde_json::{Value, json};

use super::Refusal;
use crate::provider_error::ProviderError as E;

/// The error object, without its envelope. `prompt` is the parameter that holds the prompt.
pub(super) fn error(error: E, prompt: &str) -> Value {
    let (kind, code, param, message) = match error {
        E::RateLimited(wait) => {
            let again = wait.map_or(String::new(), |wait| format!(" Please try again in {}.", go(wait)));
            return object("requests", Some("rate_limit_exceeded"), None, &format!("Rate limit reached for requests.{again}"));
        }
        E::QuotaExhausted => ("insufficient_quota", Some("insufficient_quota"), None, "The quota of this account is used up."),
        E::Overloaded => {
            ("service_unavailable_error", Some("server_is_overloaded"), None, "Our servers are currently overloaded.")
        }
        E::ServerError => ("server_error", None, None, "The server had an error while processing your request."),
        E::Timeout => ("cf_gateway_timeout", None, None, "Gateway timeout."),
        E::ContextLength => (
            "invalid_request_error",
            Some("context_length_exceeded"),
            Some(prompt),
            "The input exceeds the context window of this model.",
        ),
        E::ContentPolicy => (
            "invalid_request_error",
            Some("content_policy_violation"),
            Some(prompt),
            "The prompt was rejected by our safety system.",
        ),
        E::Auth => ("invalid_request_error", Some("invalid_api_key"), None, "Incorrect API key provided: mock-****."),
        E::Permission => {
            ("invalid_request_error", Some("insufficient_permissions"), None, "Insufficient permissions for this operation.")
        }
        E::NotFound => ("invalid_request_error", Some("model_not_found"), Some("model"), "The model does not exist."),
        E::PayloadTooLarge => ("invalid_request_error", None, None, "Request too large for this endpoint."),
        E::InvalidRequest => (
            "invalid_request_error",
            Some("missing_required_parameter"),
            Some(prompt),
            "A required parameter is missing from the request.",
        ),
    };
    object(kind, code, param, message)
}

pub(super) fn refusal(said: E, prompt: &str) -> Refusal {
    let status = match said {
        E::RateLimited(_) | E::QuotaExhausted => 429,
        E::Overloaded => 503,
        E::ServerError => 500,
        E::Timeout => 524,
        E::Auth => 401,
        E::Permission => 403,
        E::NotFound => 404,
        E::PayloadTooLarge => 413,
        E::ContextLength | E::ContentPolicy | E::InvalidRequest => 400,
    };
    let mut headers = Vec::new();
    if let E::RateLimited(wait) = said {
        headers.extend([("x-ratelimit-limit-requests", "500".to_owned()), ("x-ratelimit-remaining-requests", "0".to_owned())]);
        if let Some(wait) = wait {
            headers.push(("x-ratelimit-reset-requests", go(wait)));
            headers.push(("retry-after-ms", wait.as_millis().to_string()));
            headers.push(("retry-after", whole_seconds(wait)));
        }
    }
    Refusal { status, headers, body: json!({"error": error(said, prompt)}) }
}

/// Rounded up: nobody is told to come back too early.
pub(super) fn whole_seconds(wait: Duration) -> String {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).to_string()
}

/// A duration as OpenAI writes it, after Go.
fn go(wait: Duration) -> String {
    let (seconds, millis) = (wait.as_secs(), wait.subsec_millis());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60, millis) {
        (0, 0, 0, millis) => format!("{millis}ms"),
        (0, 0, seconds, 0) => format!("{seconds}s"),
        (0, 0, seconds, millis) => format!("{seconds}.{millis:03}s"),
        (0, minutes, seconds, _) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn object(kind: &str, code: Option<&str>, param: Option<&str>, message: &str) -> Value {
    json!({"message": message, "type": kind, "param": param, "code": code})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_written_as_openai_does() {
        let go = |ms| go(Duration::from_millis(ms));
        assert_eq!([go(120), go(2000), go(1500), go(360_000), go(3_723_000)], ["120ms", "2s", "1.500s", "6m0s", "1h2m3s"]);
        assert_eq!(whole_seconds(Duration::from_millis(1200)), "2");
    }
}
