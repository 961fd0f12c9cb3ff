//! What users of other gateways suffered from, one test for each report.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use towline_core::{Attempt, BoxError, Call, Credential, Error, Facts, Failure, FailureKind, Outcome, RetryVerdict, Target};
use towline_fallback::{AuthorizeLayer, FallbackLayer};

mod support;

use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn chain(names: &[&str]) -> FallbackLayer {
    FallbackLayer::new(targets(names)).unwrap()
}

fn keyed() -> Target {
    Target::new("t", "http://t").unwrap().with_keys(["one", "two"].map(|key| Credential::bearer(key).unwrap()))
}

/// Asks a target with two keys; `reply` sees the key. Returns the answer and the keys that were shown.
async fn ask_keyed(layer: &AuthorizeLayer, reply: impl Fn(&str) -> Reply + Clone + Send + 'static) -> (Reply, String) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&shown);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let key = request.headers()["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let answer = reply(&key);
        log.lock().push(key);
        async move { answer }
    });
    let answer = FallbackLayer::new([keyed()]).unwrap().layer(layer.layer(inner)).oneshot(request()).await;
    let shown = shown.lock().join(" ");
    (answer, shown)
}

/// LiteLLM masked the error of the first target by a 400 of the one that it tried for want of a better.
#[tokio::test]
async fn litellm_27967_the_original_error_is_not_masked_by_that_of_the_stopgap() {
    let layer = chain(&["a"]).context_window_targets(targets(&["large"])).unwrap();
    let reply =
        |host: &str| failed(Failure::new(if host == "a" { FailureKind::ContextLength } else { FailureKind::InvalidRequest }));
    let call = Call::new(Facts::default(), Instant::now(), None);
    let (answer, _) = ask(&layer, with_call(&call), reply).await;
    assert_eq!(Outcome::of_response(&answer.unwrap()).into_failure().unwrap().kind, FailureKind::ContextLength);
    assert_eq!(call.trail().len(), 2, "both are recorded");
}

/// Three clients waited for a silent route again and again, 91 to 97 s in all.
#[tokio::test(start_paused = true)]
async fn failover_bench_s06_one_deadline_is_shared_and_a_silent_route_is_left_in_time() {
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        if request.uri().host() == Some("a") {
            sleep(120 * SECOND).await;
        }
        Ok::<_, BoxError>(Response::new(()))
    });
    let call = Call::new(Facts::default(), Instant::now(), Some(Instant::now() + 30 * SECOND));
    let answer = chain(&["a", "b"]).layer(inner).oneshot(with_call(&call)).await.unwrap();
    assert_eq!(Target::of(answer.extensions()).map(Target::name), Some("b"));
    assert_eq!(call.began().elapsed(), 15 * SECOND);
}

/// Attempts of the SDK, of the router and of each layer multiplied, to 45 in one case.
#[tokio::test]
async fn litellm_7130_attempts_do_not_multiply_with_the_targets() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    let retried = call.clone();
    let thrice = move |_: &str| {
        for _ in 0..3 {
            let mut attempt = Attempt::new(Instant::now(), Instant::now());
            attempt.failure = Some(FailureKind::Overloaded);
            retried.record(attempt);
        }
        status(503)
    };
    ask(&chain(&["a", "b", "c", "d", "e"]), with_call(&call), thrice).await.0.unwrap();
    assert_eq!(call.attempts(), 6, "not fifteen");
}

/// While every target was cooling down, the error named no time to come back.
#[tokio::test(start_paused = true)]
async fn litellm_27823_an_error_of_our_own_names_the_earliest_recovery() {
    let reply = |host: &str| kept_back(FailureKind::CircuitOpen, if host == "b" { 20 } else { 40 });
    let error = ask(&chain(&["a", "b", "c"]), request(), reply).await.0.unwrap_err();
    assert_eq!(error.failure().hint.retry_after, Some(20 * SECOND));
}

/// A cooldown that was told again kept its first, shorter end.
#[tokio::test(start_paused = true)]
async fn litellm_40130_a_key_rests_until_the_latest_end_that_was_told() {
    let layer = AuthorizeLayer::new();
    ask_keyed(&layer, |key| limited(if key == "one" { "10" } else { "30" })).await.0.unwrap();
    // The one that recovers first is used for want of a better, and told to wait for longer.
    assert_eq!(ask_keyed(&layer, |_| limited("60")).await.1, "one");
    sleep(20 * SECOND).await;
    assert_eq!(ask_keyed(&layer, |_| status(200)).await.1, "two", "in ten seconds rather than in forty");
}

/// Nobody waited for the first target to recover, though it would have been in time.
#[tokio::test(start_paused = true)]
async fn litellm_3646_the_first_to_recover_is_waited_for() {
    let back = Instant::now() + 2 * SECOND;
    let reply = move |_: &str| if Instant::now() < back { kept_back(FailureKind::CircuitOpen, 2) } else { status(200) };
    assert_eq!(ask(&chain(&["a", "b"]), request(), reply).await.0.unwrap().status(), 200);
}

/// Errors of the gateway's own limiter were taken for the provider's.
#[tokio::test]
async fn tensorzero_3554_a_local_refusal_uses_up_no_attempt() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    let layer = chain(&["a", "b", "c"]).max_attempts(1).unwrap();
    let reply = |host: &str| if host == "c" { status(200) } else { kept_back(FailureKind::LimitedLocally, 9) };
    assert_eq!(ask(&layer, with_call(&call), reply).await.1, ["a", "b", "c"]);
}

/// `insufficient_quota` was retried like a limit that refills.
#[tokio::test]
async fn litellm_32798_a_spent_quota_takes_the_next_key_and_then_the_next_target() {
    let spent = |_: &str| failed(Failure::new(FailureKind::QuotaExhausted));
    assert_eq!(ask(&chain(&["a", "b"]), request(), spent).await.1, ["a", "b"]);
    let layer = AuthorizeLayer::new();
    let first = |key: &str| if key == "one" { failed(Failure::new(FailureKind::QuotaExhausted)) } else { status(200) };
    assert_eq!(ask_keyed(&layer, first).await.1, "one two");
    assert_eq!(ask_keyed(&layer, first).await.1, "two");
}

/// An entitlement that was missing was asked for for ever.
#[tokio::test]
async fn gsd_2_2803_what_is_never_worth_a_retry_may_still_go_elsewhere_but_to_nobody_twice() {
    let extra = |_: &str| failed(Failure::new(FailureKind::QuotaExhausted).retry(RetryVerdict::Never));
    assert_eq!(ask(&chain(&["a", "b"]), request(), extra).await.1, ["a", "b"]);
}

/// A 429 without headers led to no action at all.
#[tokio::test(start_paused = true)]
async fn agentgateway_1500_a_limit_without_headers_moves_on_and_the_key_rests() {
    assert_eq!(ask(&chain(&["a", "b"]), request(), |host| status(if host == "a" { 429 } else { 200 })).await.1, ["a", "b"]);
    let layer = AuthorizeLayer::new();
    let first = |key: &str| status(if key == "one" { 429 } else { 200 });
    assert_eq!(ask_keyed(&layer, first).await.1, "one two");
}

/// 503 for ever, and the fallback was never used; or the first request still failed.
#[tokio::test]
async fn agentgateway_1087_and_1081_the_failing_request_itself_moves_on_with_no_configuration() {
    let (answer, asked) = ask(&chain(&["a", "b"]), request(), |host| status(if host == "a" { 503 } else { 200 })).await;
    assert_eq!((answer.unwrap().status().as_u16(), asked.len()), (200, 2));
}

/// Policies that were attached where they could not act were silently inactive.
#[test]
fn ai_gateway_1866_a_policy_that_could_never_act_is_an_error() {
    assert!(FallbackLayer::none().context_window_targets(targets(&["a"])).is_err());
    assert!(chain(&["a"]).moves_on_from("b", |_| None).is_err());
    assert!(chain(&["a"]).max_targets(0).is_err());
}

/// A provider that answered 429 all day was asked for four hours, in spite of a fallback.
#[tokio::test(start_paused = true)]
async fn langwatch_7027_a_key_whose_day_is_spent_rests_until_the_provider_says() {
    let layer = AuthorizeLayer::new();
    let day = Duration::from_secs(4 * 3600);
    let spent = move |key: &str| {
        if key == "one" { failed(Failure::new(FailureKind::QuotaExhausted).retry_after(day)) } else { status(503) }
    };
    ask_keyed(&layer, spent).await.0.unwrap();
    for _ in 0..3 {
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(ask_keyed(&layer, spent).await.1, "two");
    }
}

/// Fallback was skipped where the answer streams.
#[tokio::test]
async fn mlflow_25262_a_request_for_a_stream_goes_the_same_way() {
    let mut facts = Facts::default();
    facts.stream = true;
    let call = Call::new(facts, Instant::now(), None);
    let broken = |host: &str| {
        if host == "a" { Err(Error::new(Failure::new(FailureKind::StreamBroken))) } else { status(200) }
    };
    assert_eq!(ask(&chain(&["a", "b"]), with_call(&call), broken).await.1, ["a", "b"]);
}
