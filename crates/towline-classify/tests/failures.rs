//! Failed statuses: who decides, what is read, and what is handed on.

mod support;

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use support::{Script, Seen, Step, classify, classify_for, data, read_all, request, response, told};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline_classify::ClassifyLayer;
use towline_core::{BoxError, Dialect, Failure, FailureKind, Outcome, Target};

const QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;

#[tokio::test]
async fn the_body_of_an_error_decides_before_its_status() {
    let body = Script::new([data(QUOTA)]);
    let alive = body.alive();
    let answer = classify(&ClassifyLayer::new(), response(429, &[], body)).await;
    assert_eq!(told(&answer), Some(FailureKind::QuotaExhausted));
    assert_eq!(alive(), 0, "it was read whole, so its connection is free");
    assert_eq!(read_all(answer.into_body()).data, QUOTA.as_bytes());
}

#[tokio::test]
async fn a_body_that_tells_nothing_leaves_it_to_the_status_and_its_headers() {
    let answer = classify(&ClassifyLayer::new(), response(503, &[("retry-after", "7")], Script::new([data("<html>")]))).await;
    let Some(Outcome::Failure(failure)) = answer.extensions().get() else { panic!("no failure") };
    assert_eq!((failure.kind, failure.hint.retry_after), (FailureKind::Overloaded, Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn every_failed_status_is_told_and_no_other() {
    for status in [200, 201, 204, 206, 304] {
        let answer = classify(&ClassifyLayer::new(), response(status, &[], Script::new([data("{}")]))).await;
        assert!(answer.extensions().get::<Outcome>().is_none(), "{status}");
    }
    for status in [301, 400, 401, 404, 418, 429, 500, 503, 529, 599, 999] {
        let answer = classify(&ClassifyLayer::new(), response(status, &[], Script::new([]))).await;
        assert!(told(&answer).is_some(), "{status}");
    }
}

#[tokio::test]
async fn a_rule_of_the_users_comes_first_and_the_first_opinion_wins() {
    let layer = ClassifyLayer::new()
        .rule(|parts, _| (parts.status == 404).then_some(Outcome::Success))
        .rule(|_, body| body.starts_with(b"{\"error\"").then(|| Outcome::Failure(Failure::new(FailureKind::Conflict))))
        .rule(|_, _| Some(Outcome::Failure(Failure::new(FailureKind::Unknown))));
    for (status, expected) in [(404, None), (429, Some(FailureKind::Conflict))] {
        let answer = classify(&layer, response(status, &[], Script::new([data(QUOTA)]))).await;
        assert_eq!(told(&answer), expected);
        assert_eq!(Outcome::of_response(&answer).into_failure().map(|f| f.kind), expected, "as every layer reads it");
    }
}

#[tokio::test]
async fn a_rule_without_an_opinion_leaves_it_to_the_next() {
    let layer = ClassifyLayer::new().rule(|_, _| None);
    let answer = classify(&layer, response(429, &[], Script::new([data(QUOTA)]))).await;
    assert_eq!(told(&answer), Some(FailureKind::QuotaExhausted));
}

#[tokio::test]
async fn a_compressed_body_is_not_believed_but_read_and_handed_on() {
    let layer = ClassifyLayer::new().rule(|_, body| (!body.is_empty()).then_some(Outcome::Success));
    for encoding in ["gzip", "br", "x-unknown"] {
        let body = Script::new([data(QUOTA)]);
        let alive = body.alive();
        let answer = classify(&layer, response(429, &[("content-encoding", encoding)], body)).await;
        assert_eq!((told(&answer), alive()), (Some(FailureKind::RateLimited), 0));
        assert_eq!(read_all(answer.into_body()).data, QUOTA.as_bytes());
    }
    let answer =
        classify(&ClassifyLayer::new(), response(429, &[("content-encoding", "Identity")], Script::new([data(QUOTA)]))).await;
    assert_eq!(told(&answer), Some(FailureKind::QuotaExhausted));
}

#[tokio::test]
async fn an_answer_to_head_is_judged_by_its_status() {
    let head = || Request::builder().method(Method::HEAD).uri("http://provider.test/").body(Empty::new()).unwrap();
    let answer =
        classify_for(&ClassifyLayer::new().reject_empty(true), head(), response(200, &[], Script::new([]).sized())).await;
    assert!(answer.extensions().get::<Outcome>().is_none());
    let answer = classify_for(&ClassifyLayer::new(), head(), response(529, &[], Script::new([]).sized())).await;
    assert_eq!(told(&answer), Some(FailureKind::Overloaded));
}

#[tokio::test]
async fn the_dialect_of_a_target_narrows() {
    let target = Target::new("t", "http://provider.test").unwrap().with_dialect(Dialect::Anthropic);
    let mut request = request();
    request.extensions_mut().insert(target);
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let answer = classify_for(&ClassifyLayer::new(), request, response(500, &[], Script::new([data(overloaded)]))).await;
    assert_eq!(told(&answer), Some(FailureKind::Overloaded));
}

#[tokio::test]
async fn an_error_of_the_service_becomes_ours_and_tells_its_chain() {
    let refused = tower::service_fn(|_: Request<Empty<Bytes>>| async {
        Err::<Response<Script>, BoxError>(io::Error::from(io::ErrorKind::ConnectionRefused).into())
    });
    let error = ClassifyLayer::new().layer(refused).oneshot(request()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect);
}

#[tokio::test(start_paused = true)]
async fn a_slow_error_is_decided_in_time_and_flows_on_whole() {
    let began = Instant::now();
    let steps = [data("{\"error\":{"), Step::Stall];
    let answer = classify(&ClassifyLayer::new(), response(429, &[], Script::new(steps))).await;
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(told(&answer), Some(FailureKind::RateLimited));
    assert_eq!(read_all(answer.into_body()).data, b"{\"error\":{");
}

#[tokio::test(start_paused = true)]
async fn of_a_long_error_64_kib_are_read_and_the_rest_streams_on() {
    let frame = "x".repeat(20 * 1024);
    let steps: Vec<_> = (0..8).map(|_| data(&frame)).chain([Step::Trailers]).collect();
    let body = Script::new(steps.clone());
    let alive = body.alive();
    let answer = classify(&ClassifyLayer::new(), response(500, &[], body)).await;
    assert_eq!((told(&answer), alive()), (Some(FailureKind::ServerError), 1));
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
}

#[tokio::test]
async fn an_error_body_that_breaks_off_is_judged_by_what_came_and_breaks_for_its_reader() {
    let steps = [data("{\"err"), Step::Break];
    let answer = classify(&ClassifyLayer::new(), response(429, &[], Script::new(steps.clone()))).await;
    assert_eq!(told(&answer), Some(FailureKind::RateLimited));
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
}
