//! What the caller hears when every target has failed, over real sockets.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::time::Duration;

use http_body_util::BodyExt;
use tower::ServiceExt;
use towline::{Call, Credential, FailureKind, FallbackLayer, Phase, RetryLayer, Target, stack};
use towline_testkit::{MockProvider, Reply};
use towline_tests::{hyper, post};

fn target(name: &str, base: String) -> Target {
    Target::new(name, base).unwrap().with_credential(Credential::bearer("s3cret").unwrap())
}

/// A line of the trail without its time, which is no test's to know.
fn without_time(line: &str) -> &str {
    let (said, after) = line.split_once(" after ").unwrap();
    assert!(after.strip_suffix("ms").unwrap().parse::<u64>().is_ok(), "{line}");
    said
}

#[tokio::test]
async fn an_error_names_each_target_with_what_failed_there_and_shows_nobodys_words() {
    let refused = MockProvider::refused().unwrap();
    let (reset, silent) = (MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap());
    reset.otherwise(Reply::reset());
    silent.otherwise(Reply::silence());
    let silent = target("silent", silent.url("")).with_timeout(Phase::Head, Duration::from_millis(50)).unwrap();
    let targets = [target("refused", refused.url("")), target("reset", reset.url("")), silent];
    let service = stack(hyper()).targets(targets).unwrap().retry(RetryLayer::new().attempts(1).unwrap()).build().unwrap();

    let error = service.oneshot(post("/v1/messages")).await.err().unwrap();

    let message = error.to_string();
    let (what, trail) = message.strip_suffix(')').unwrap().split_once(" (tried ").unwrap();
    assert_eq!((what, error.kind()), ("no connection could be made", FailureKind::Connect), "of failures alike the first");
    let lines: Vec<_> = trail.split(", ").map(without_time).collect();
    assert_eq!(lines, ["refused: connect", "reset: transport", "silent: timeout"]);
    assert!(!message.contains("s3cret") && !message.contains("127.0.0.1"), "{message}");
}

#[tokio::test]
async fn a_providers_own_last_word_keeps_its_body_and_tells_of_the_earliest_recovery() {
    let (limited, broken) = (MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap());
    limited.otherwise(Reply::status(429).header("retry-after", "30").json(r#"{"error":{"message":"slow down, sk-123"}}"#));
    broken.otherwise(Reply::status(429).header("retry-after", "3").json(r#"{"error":{"message":"three more"}}"#));
    let targets = [target("limited", limited.url("")), target("broken", broken.url(""))];
    let fallback = FallbackLayer::new(targets).unwrap().answer_headers(true);
    let service = stack(hyper()).fallback(fallback).retry(RetryLayer::new().attempts(1).unwrap()).build().unwrap();

    let response = service.oneshot(post("/v1/messages")).await.unwrap();

    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &http::HeaderValue::from_static("3")));
    assert_eq!(response.headers()["x-towline-attempts"], "2");
    let trail: Vec<_> = Call::of(response.extensions()).unwrap().trail().iter().map(ToString::to_string).collect();
    let lines: Vec<_> = trail.iter().map(|line| without_time(line)).collect();
    assert_eq!(lines, ["limited: rate_limit 429", "broken: rate_limit 429"]);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"error":{"message":"three more"}}"#, "in the words of whoever recovers first");
}
