//! Reading the corpus, and saying a failure in its vocabulary.

use std::{fs, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use towline_core::{Dialect, Failure, FailureKind, RetryVerdict, Scope};

/// The records of one file of the corpus; `None`, said plainly, where there is no corpus. In CI there must be one.
pub(crate) fn corpus(file: &str) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("TOWLINE_CORPUS") else {
        assert!(std::env::var_os("CI").is_none(), "TOWLINE_CORPUS must name the corpus in CI");
        println!("NOT RUN: TOWLINE_CORPUS does not name the folder with {file}");
        return None;
    };
    let text = fs::read_to_string(PathBuf::from(folder).join(file)).unwrap();
    Some(text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect())
}

pub(crate) fn headers(record: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in record["headers"].as_object().into_iter().flatten() {
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name: HeaderName = name.parse().unwrap();
            // A value that no HTTP stack lets through cannot reach us either.
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.append(name, value);
            }
        }
    }
    headers
}

/// The dialect in which the corpus' `api` answers.
pub(crate) fn dialect(api: &str) -> Option<Dialect> {
    let api = api.to_ascii_lowercase();
    if api.contains("generatecontent") {
        Some(Dialect::Gemini)
    } else if api.contains("converse") || api.contains("invokemodel") {
        Some(Dialect::Bedrock)
    } else if api.contains("responses") {
        Some(Dialect::OpenAiResponses)
    } else if api.contains("messages") && !api.contains("assistants") {
        Some(Dialect::Anthropic)
    } else if api.contains("chat") && api.contains("completions") {
        Some(Dialect::OpenAiChat)
    } else {
        None
    }
}

/// The corpus' `class` of a failure.
pub(crate) fn class(failure: Option<&Failure>) -> &'static str {
    match failure.map(|f| f.kind) {
        None => "success",
        Some(FailureKind::Malformed | FailureKind::StreamBroken) => "unknown",
        Some(kind) => kind.name(),
    }
}

/// What could help, in the corpus' words. It follows from what is broken, and where:
///
/// * a wrong request, missing state, the customer's own guard (all of scope request): nothing;
/// * a window that is too small: a larger one; a provider's policy: another's;
/// * a credential, its rights or its money: another credential, unless only one model is concerned;
/// * all else: any other target.
pub(crate) fn fallback_class(failure: Option<&Failure>) -> &'static str {
    use FailureKind as K;
    let Some(failure) = failure else { return "none" };
    match (failure.kind, failure.scope) {
        (_, Scope::Request) => "none",
        (K::ContextLength, _) => "larger_context",
        (K::ContentPolicy, _) => "other_policy",
        (K::Auth | K::Permission | K::QuotaExhausted, Scope::Credential) => "other_credential",
        _ => "any",
    }
}

pub(crate) fn retry_same(failure: Option<&Failure>) -> bool {
    failure.is_some_and(|f| f.retry != RetryVerdict::Never)
}

/// Plain base64, for the corpus' binary bodies.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets: Vec<u32> =
        text.bytes().filter_map(|b| ALPHABET.iter().position(|a| *a == b)).map(|i| u32::try_from(i).unwrap()).collect();
    let mut out = Vec::new();
    for group in sextets.chunks(4) {
        let bits = group.iter().fold(0, |bits, s| (bits << 6) | s) << (6 * (4 - group.len()));
        out.extend(bits.to_be_bytes()[1..group.len()].iter());
    }
    out
}
