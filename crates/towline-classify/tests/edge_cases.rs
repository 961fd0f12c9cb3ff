//! The edge cases 1 to 7, 12 and 30, as far as they are classify's; each is named by its number. The rest stand in `tests/tests/edge_cases.rs`.

mod support;

use std::time::Duration;

use http::Response;
use support::{Script, Seen, Step, classify, data, read_all, response};
use tokio::time::Instant;
use towline_classify::{ClassifiedBody, ClassifyLayer};
use towline_core::{Failure, FailureKind, Outcome, RetryVerdict, Scope, StreamEnd, StreamHandle};

async fn failure(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let answer = classify(&ClassifyLayer::new(), response(status, headers, Script::new([data(body)]))).await;
    assert!(answer.extensions().get::<Outcome>().is_some(), "{status} {body} is no failure");
    Outcome::of_response(&answer).into_failure().unwrap_or(Failure::new(FailureKind::Unknown))
}

async fn stream(steps: &[Step]) -> Response<ClassifiedBody<Script>> {
    classify(&ClassifyLayer::new(), response(200, &[("content-type", "text/event-stream")], Script::new(steps.to_vec()))).await
}

#[tokio::test]
async fn case_1_a_retry_after_in_any_form_is_read_or_left() {
    let date = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");
    for (value, expected) in [
        ("1.5", Some(1500)),
        ("0", Some(0)),
        ("-3", None),
        ("NaN", None),
        ("inf", None),
        ("1e9", None),
        ("", None),
        ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
        ("Sat, 21 Nov 2026 12:00:30 GMT", Some(30_000)),
    ] {
        let told = failure(429, &[date, ("retry-after", value)], "{}").await.hint.retry_after;
        assert_eq!(told, expected.map(Duration::from_millis), "{value}");
    }
    let two = failure(429, &[("retry-after", "2"), ("retry-after", "5")], "{}").await;
    assert_eq!(two.hint.retry_after, Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn case_2_contradictory_hints_are_all_told() {
    let both = failure(429, &[("retry-after-ms", "1500"), ("retry-after", "9")], "{}").await;
    assert_eq!(both.hint.retry_after, Some(Duration::from_millis(1500)));
    let fortnight = failure(429, &[("x-should-retry", "true"), ("retry-after", "1296000")], "{}").await;
    assert_eq!((fortnight.hint.should_retry, fortnight.hint.retry_after), (Some(true), Some(Duration::from_secs(1_296_000))));
    let bad = failure(400, &[("x-should-retry", "true")], r#"{"error":{"message":"bad","type":"invalid_request_error"}}"#).await;
    assert_eq!((bad.kind, bad.hint.should_retry), (FailureKind::InvalidRequest, Some(true)));
}

#[tokio::test]
async fn case_5_what_is_spent_is_told_from_what_refills() {
    let openai = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let scaleway =
        r#"{"status":429,"error":"INSUFFICIENT QUOTA","message":"You exceeded your current limit of concurrent requests."}"#;
    let anthropic = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This organization has reached its monthly spend limit.","error_code":"enforced_spend_limit_reached"}}"#;
    let gemini = r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"20"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36s"}]}}"#;
    for (body, kind, scope, retry) in [
        (openai, FailureKind::QuotaExhausted, Scope::Credential, RetryVerdict::Never),
        (scaleway, FailureKind::RateLimited, Scope::Credential, RetryVerdict::Backoff),
        (anthropic, FailureKind::QuotaExhausted, Scope::Credential, RetryVerdict::Never),
        (gemini, FailureKind::QuotaExhausted, Scope::Model, RetryVerdict::Never),
    ] {
        let told = failure(429, &[], body).await;
        assert_eq!((told.kind, told.scope, told.retry), (kind, scope, retry), "{body}");
    }
    assert_eq!(failure(429, &[], gemini).await.hint.retry_after, Some(Duration::from_secs(36)));
}

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[]}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const OVERLOADED: &str =
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

#[tokio::test]
async fn case_6_an_error_as_first_event_or_after_pings_only_is_a_failure() {
    for steps in [vec![data(OVERLOADED)], vec![data(START), data(PING), Step::Pending, data(PING), data(OVERLOADED)]] {
        let answer = stream(&steps).await;
        assert_eq!(support::told(&answer), Some(FailureKind::Overloaded));
        assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
    }
}

#[tokio::test]
async fn case_6_an_error_after_one_delta_is_told_by_the_handle() {
    let answer = stream(&[data(START), data(DELTA), data(OVERLOADED)]).await;
    let handle = StreamHandle::of(answer.extensions()).unwrap().clone();
    assert_eq!(support::told(&answer), None);
    read_all(answer.into_body());
    assert!(matches!(handle.end(), Some(StreamEnd::Failed(failure)) if failure.kind == FailureKind::Overloaded));
}

#[tokio::test]
async fn case_6_a_connection_cut_before_the_last_event_never_looks_whole() {
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}]}\n\n";
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hel\"}\n\n";
    for (content, end) in [
        (DELTA, STOP),
        (chat, "data: [DONE]\n\n"),
        (gemini, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]},\"finishReason\":\"STOP\"}]}\n\n"),
        (responses, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n"),
    ] {
        for (steps, expected) in [
            (vec![data(content), data(content)], Some(FailureKind::StreamBroken)),
            (vec![data(content), Step::Break], Some(FailureKind::StreamBroken)),
            (vec![data(content), data(end)], None),
        ] {
            assert_eq!(read_all(stream(&steps).await.into_body()).error, expected, "{content}");
        }
    }
}

#[tokio::test]
async fn case_7_hints_of_each_providers_own_form_are_read() {
    let gemini = r#"{"error":{"code":429,"message":"Please retry in 45.837906927s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"45.837906927s"}]}}"#;
    assert_eq!(failure(429, &[], gemini).await.hint.retry_after, Some(Duration::new(45, 837_906_927)));
    let openai = r#"{"error":{"message":"Rate limit reached for gpt-5. Please try again in 6m0s.","type":"requests","code":"rate_limit_exceeded"}}"#;
    assert_eq!(failure(429, &[], openai).await.hint.retry_after, Some(Duration::from_secs(360)));
}

#[tokio::test(start_paused = true)]
async fn case_30_pings_without_content_are_held_no_longer_than_told() {
    let steps: Vec<_> = (0..40).flat_map(|_| [data(PING), Step::Pending]).chain([Step::Stall]).collect();
    let began = Instant::now();
    let answer = stream(&steps).await;
    assert_eq!(began.elapsed().as_secs(), 120);
    let handle = StreamHandle::of(answer.extensions()).unwrap();
    assert_eq!((handle.last_content(), handle.end()), (None, None), "who limits silence by content sees none");
}
