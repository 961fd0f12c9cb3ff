//! Targets that are kept back, time that is shared out, and what the answer says of all that.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};
use towline_core::{Attempt, BoxError, Call, Facts, Failure, FailureKind, Target};
use towline_fallback::FallbackLayer;

mod support;

use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn layer(names: &[&str]) -> FallbackLayer {
    FallbackLayer::new(targets(names)).unwrap().seed(7)
}

fn call(within: Option<Duration>) -> Call {
    let now = Instant::now();
    Call::new(Facts::default(), now, within.map(|within| now + within))
}

/// Targets of which each is kept back until its instant, in seconds after `began`.
fn back_at(began: Instant, seconds: &'static [(&'static str, u64)]) -> impl Fn(&str) -> Reply + Clone + Send + 'static {
    move |host| {
        let at = began + seconds.iter().find(|(name, _)| *name == host).map_or(SECOND, |(_, secs)| Duration::from_secs(*secs));
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() { status(200) } else { kept_back(FailureKind::CircuitOpen, left.as_secs()) }
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_kept_back_cost_neither_time_nor_places() {
    let reply = |host: &str| if host == "f" { status(200) } else { kept_back(FailureKind::LimitedLocally, 9) };
    let began = Instant::now();
    let call = call(None);
    let (answer, asked) = ask(&layer(&["a", "b", "c", "d", "e", "f"]), with_call(&call), reply).await;
    assert_eq!((answer.unwrap().status().as_u16(), asked.len(), began.elapsed()), (200, 6, Duration::ZERO));
}

/// A retry may have asked a target before the next attempt is refused.
#[tokio::test]
async fn a_target_that_was_asked_and_then_kept_back_takes_a_place() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    let retried = call.clone();
    let reply = move |_: &str| {
        for kind in [FailureKind::RateLimited, FailureKind::LimitedLocally] {
            let mut attempt = Attempt::new(Instant::now(), Instant::now());
            attempt.failure = Some(kind);
            retried.record(attempt);
        }
        kept_back(FailureKind::LimitedLocally, 9)
    };
    let layer = FallbackLayer::new(targets(&["a", "b", "c"])).unwrap().max_targets(2).unwrap();
    assert_eq!(ask(&layer, with_call(&call), reply).await.1, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn when_all_are_kept_back_the_soonest_is_waited_for() {
    let began = Instant::now();
    let (answer, asked) = ask(&layer(&["a", "b"]), request(), back_at(began, &[("a", 30), ("b", 3)])).await;
    assert_eq!((answer.unwrap().status().as_u16(), asked.join(" ").as_str()), (200, "a b b"));
    assert!((3000..3260).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_beyond_the_bound_or_the_deadline_or_where_somebody_was_asked() {
    let began = Instant::now();
    let late = || back_at(began, &[("a", 9), ("b", 8)]);
    let (answer, asked) = ask(&layer(&["a", "b"]), request(), late()).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), asked.len()), (FailureKind::CircuitOpen, 2));
    assert_eq!(error.failure().hint.retry_after, Some(8 * SECOND), "the earliest recovery");

    let patient = layer(&["a", "b"]).wait_for_recovery(10 * SECOND);
    assert!(ask(&patient, with_call(&call(Some(8 * SECOND))), late()).await.0.is_err());
    let broken = |host: &str| if host == "a" { status(500) } else { kept_back(FailureKind::CircuitOpen, 1) };
    assert_eq!(ask(&patient, request(), broken).await.0.unwrap().status(), 500);
    let never = layer(&["a", "b"]).wait_for_recovery(Duration::ZERO);
    assert!(ask(&never, request(), |_| kept_back(FailureKind::CircuitOpen, 1)).await.0.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(ask(&patient, request(), late()).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_once_and_then_the_others_have_their_turn() {
    let reply = |_: &str| kept_back(FailureKind::CircuitOpen, 2);
    let (answer, asked) = ask(&layer(&["a", "b"]), request(), reply).await;
    assert_eq!((answer.unwrap_err().kind(), asked.join(" ").as_str()), (FailureKind::CircuitOpen, "a b a b"));
}

/// Answers at `b` only; `a` takes as long as told.
async fn slow(layer: &FallbackLayer, call: &Call, takes: Duration) -> (u16, Duration) {
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
        if request.uri().host() == Some("a") {
            sleep(takes).await;
        }
        Ok::<_, BoxError>(Response::new(()))
    });
    let began = Instant::now();
    let answer = layer.layer(inner).oneshot(with_call(call)).await.unwrap();
    assert_eq!(answer.status(), 200);
    (call.trail().len().try_into().unwrap(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_leaves_half_of_the_time_to_the_others() {
    let (both, one) = (layer(&["a", "b"]), layer(&["a"]));
    let silent = call(Some(10 * SECOND));
    assert_eq!(slow(&both, &silent, 60 * SECOND).await, (2, 5 * SECOND));
    let lines: Vec<_> = silent.trail().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["a: timeout after 5000ms", "b: ok 200 after 0ms"]);
    assert_eq!(slow(&both, &call(Some(10 * SECOND)), 4 * SECOND).await, (1, 4 * SECOND));
    assert_eq!(slow(&one, &call(Some(10 * SECOND)), 9 * SECOND).await, (1, 9 * SECOND), "nobody to leave it to");
    assert_eq!(slow(&both, &call(None), 9 * SECOND).await, (1, 9 * SECOND), "no end to share");
    let most = layer(&["a", "b"]).deadline_share(0.9).unwrap();
    assert_eq!(slow(&most, &call(Some(10 * SECOND)), 60 * SECOND).await, (2, 9 * SECOND));
    let all = layer(&["a", "b"]).deadline_share(1.0).unwrap();
    assert_eq!(slow(&all, &call(Some(10 * SECOND)), 11 * SECOND).await, (1, 11 * SECOND), "a timeout's affair");
    for share in [0.0, -1.0, 1.1, f64::NAN] {
        assert_eq!(layer(&["a"]).deadline_share(share).unwrap_err().field(), "deadline_share");
    }
}

#[tokio::test]
async fn the_headers_say_who_answered_and_why_it_was_not_the_first() {
    let told = |answer: Reply| {
        let answer = answer.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        [header("x-towline-target"), header("x-towline-attempts"), header("x-towline-fallback")]
    };
    let quiet = layer(&["a", "b"]);
    let layer = layer(&["a", "b"]).answer_headers(true);
    let second = |host: &str| status(if host == "a" { 503 } else { 200 });
    assert_eq!(told(ask(&quiet, request(), second).await.0), ["-", "-", "-"]);
    assert_eq!(told(ask(&layer, request(), second).await.0), ["b", "2", "overloaded"]);
    assert_eq!(told(ask(&layer, request(), |_| status(200)).await.0), ["a", "1", "-"]);
    assert_eq!(told(ask(&layer, request(), |_| status(503)).await.0), ["a", "2", "overloaded"], "of failures alike the first");
    let open = |host: &str| if host == "a" { kept_back(FailureKind::CircuitOpen, 9) } else { status(200) };
    assert_eq!(told(ask(&layer, request(), open).await.0), ["b", "1", "circuit_open"], "what never left us was no attempt");
    let call = call(None);
    assert_eq!(told(ask(&layer, with_call(&call), open).await.0), ["b", "1", "circuit_open"]);
    assert_eq!((call.attempts(), call.sent()), (2, 1), "the trail tells of both");
    let named = Target::new("of two\nlines", "http://a").unwrap();
    let layer = FallbackLayer::new([named]).unwrap().answer_headers(true);
    assert_eq!(told(ask(&layer, request(), |_| status(200)).await.0), ["-", "1", "-"]);
}

/// The answer's status and its `retry-after`, or the error's kind and hint in seconds.
async fn last_word(names: &[&str], reply: impl Fn(&str) -> Reply + Clone + Send + 'static) -> (String, String) {
    let answer = ask(&layer(names).wait_for_recovery(Duration::ZERO), request(), reply).await.0;
    match answer {
        Ok(answer) => {
            assert!(!answer.headers().contains_key("retry-after-ms"));
            let header = answer.headers().get("retry-after").map_or("-", |value| value.to_str().unwrap());
            (answer.status().as_u16().to_string(), header.to_owned())
        }
        Err(error) => (error.kind().to_string(), format!("{:?}", error.failure().hint.retry_after)),
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_tells_of_the_earliest_recovery_whoever_spoke_it() {
    let told = |status: &str, after: &str| (status.to_owned(), after.to_owned());
    let at = |host: &str, first: fn() -> Reply, second: fn() -> Reply| if host == "a" { first() } else { second() };
    let open = || kept_back(FailureKind::CircuitOpen, 3);
    let long = || {
        let mut answer = limited("30")?;
        answer.headers_mut().insert("retry-after-ms", "30000".parse().unwrap());
        Ok(answer)
    };
    assert_eq!(last_word(&["a", "b"], move |host| at(host, || status(500), open)).await, told("500", "3"));
    assert_eq!(last_word(&["a", "b"], move |host| at(host, open, long)).await, told("429", "3"));
    assert_eq!(
        last_word(&["a", "b"], move |host| at(host, || refused(FailureKind::Connect), open)).await,
        told("connect", "Some(3s)")
    );
    assert_eq!(last_word(&["a", "b"], move |host| at(host, open, || status(400))).await, told("400", "-"), "no time mends that");
    assert_eq!(last_word(&["a", "b"], move |host| at(host, || status(404), open)).await, told("404", "-"));
    let classified = || {
        failed(Failure::new(FailureKind::Overloaded)).map(|mut answer| {
            *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            answer
        })
    };
    let answer = ask(&layer(&["a", "b"]), request(), move |host| at(host, classified, open)).await.0.unwrap();
    let failure = towline_core::Outcome::of_response(&answer).into_failure().unwrap();
    assert_eq!(failure.hint.retry_after, Some(3 * SECOND), "and so does the outcome");
}

#[tokio::test(start_paused = true)]
async fn time_that_has_passed_since_a_wait_was_told_is_taken_off() {
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        sleep(2 * SECOND).await;
        let after = if request.uri().host() == Some("a") { "5" } else { "30" };
        Ok::<_, BoxError>(Response::builder().status(429).header("retry-after", after).body(())?)
    });
    let answer = layer(&["a", "b"]).layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "3", "of the five, two were spent at b");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_kept_already_is_not_told_again() {
    let began = Instant::now();
    let reply = move |_: &str| kept_back(FailureKind::CircuitOpen, if began.elapsed().is_zero() { 2 } else { 40 });
    let error = ask(&layer(&["a", "b"]), request(), reply).await.0.unwrap_err();
    assert_eq!(error.failure().hint.retry_after, Some(40 * SECOND));
}

/// Found by the random stacks: refused connections had opened both circuits in the midst of the call.
#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_who_was_asked_before_the_refusal() {
    let (began, call) = (Instant::now(), call(None));
    let trail = call.clone();
    let reply = move |_: &str| {
        let mut attempt = towline_core::Attempt::new(began, began);
        attempt.failure = Some(FailureKind::Connect);
        trail.record(attempt);
        kept_back(FailureKind::CircuitOpen, 2)
    };
    let (answer, asked) = ask(&layer(&["a", "b"]), with_call(&call), reply).await;
    assert_eq!((answer.unwrap_err().kind(), asked.len(), began.elapsed()), (FailureKind::CircuitOpen, 2, Duration::ZERO));
}
