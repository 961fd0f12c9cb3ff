//! Which target answers, and what the caller gets when none does.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use towline_core::{BoxError, Call, Event, Facts, Failure, FailureKind, Observe, Outcome, Target, body::ReplayBody};
use towline_fallback::FallbackLayer;

mod support;

use support::*;

#[tokio::test]
async fn the_first_target_that_can_answer_does() {
    let layer = FallbackLayer::new(targets(&["a", "b", "c"])).unwrap();
    let (answer, asked) = ask(&layer, request(), |host| if host == "a" { status(503) } else { status(200) }).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status(), asked), (StatusCode::OK, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(Target::of(answer.extensions()).map(Target::name), Some("b"));
}

#[tokio::test]
async fn an_error_moves_on_like_a_failed_answer() {
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap();
    for kind in [
        FailureKind::Connect,
        FailureKind::CircuitOpen,
        FailureKind::LimitedLocally,
        FailureKind::Timeout(towline_core::Phase::Head),
    ] {
        let (answer, asked) = ask(&layer, request(), move |host| if host == "a" { refused(kind) } else { status(200) }).await;
        assert!(answer.is_ok(), "{kind}");
        assert_eq!(asked.len(), 2);
    }
}

#[tokio::test]
async fn what_would_fail_anywhere_is_the_answer() {
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap();
    for code in [400, 401, 403, 409] {
        let (answer, asked) = ask(&layer, request(), move |_| status(code)).await;
        assert_eq!((answer.unwrap().status().as_u16(), asked.len()), (code, 1));
    }
    let (answer, asked) = ask(&layer, request(), |_| refused(FailureKind::DeadlineExceeded)).await;
    assert_eq!((answer.unwrap_err().kind(), asked.len()), (FailureKind::DeadlineExceeded, 1));
}

#[tokio::test]
async fn an_outcome_that_was_told_beneath_overrules_the_status() {
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap();
    let told = |host: &str| {
        let mut answer = Response::new("");
        if host == "a" {
            answer.extensions_mut().insert(Outcome::Failure(Failure::new(FailureKind::Overloaded)));
        }
        Ok(answer)
    };
    let (answer, asked) = ask(&layer, request(), told).await;
    assert!(answer.unwrap().extensions().get::<Outcome>().is_none());
    assert_eq!(asked, ["a", "b"]);
}

#[tokio::test]
async fn an_opinion_of_the_users_own_comes_before_the_table() {
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap().moves_on(|failure| match failure.kind {
        FailureKind::Auth => Some(true),
        FailureKind::ServerError => Some(false),
        _ => None,
    });
    for (code, hops) in [(401, 2), (500, 1), (503, 2), (400, 1)] {
        assert_eq!(ask(&layer, request(), move |_| status(code)).await.1.len(), hops, "{code}");
    }
}

#[tokio::test]
async fn when_all_fail_the_most_useful_failure_is_the_answer() {
    let layer = FallbackLayer::new(targets(&["a", "b", "c"])).unwrap();
    let shortest = |host: &str| limited(if host == "b" { "2" } else { "30" });
    let (answer, asked) = ask(&layer, request(), shortest).await;
    let answer = answer.unwrap();
    assert_eq!((answer.headers()["retry-after"].to_str().unwrap(), asked.len()), ("2", 3));
    assert_eq!(Target::of(answer.extensions()).map(Target::name), Some("b"));

    let spoken = |host: &str| if host == "b" { status(500) } else { refused(FailureKind::CircuitOpen) };
    assert_eq!(ask(&layer, request(), spoken).await.0.unwrap().status(), 500);

    let wrong_at_last = |host: &str| if host == "b" { status(400) } else { status(503) };
    let (answer, asked) = ask(&layer, request(), wrong_at_last).await;
    assert_eq!((answer.unwrap().status().as_u16(), asked.len()), (400, 2), "the request itself is wrong");
}

#[tokio::test]
async fn no_more_targets_are_tried_than_allowed() {
    let many = || targets(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(ask(&FallbackLayer::new(many()).unwrap(), request(), |_| status(503)).await.1.len(), 4);
    let two = FallbackLayer::new(many()).unwrap().max_targets(2).unwrap();
    assert_eq!(ask(&two, request(), |_| status(503)).await.1, ["a", "b"]);
    assert_eq!(FallbackLayer::none().max_targets(0).unwrap_err().field(), "max_targets");
}

#[tokio::test]
async fn two_targets_of_one_name_are_refused() {
    assert_eq!(FallbackLayer::new(targets(&["a", "b", "a"])).unwrap_err().field(), "targets");
}

#[tokio::test]
async fn without_targets_the_request_goes_through_untouched() {
    let mut sent = request();
    sent.headers_mut().insert("authorization", "Bearer mine".parse().unwrap());
    let seen = Arc::new(Mutex::new(None));
    let log = Arc::clone(&seen);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        *log.lock() = Some((request.uri().clone(), request.headers().clone()));
        async { Ok::<_, BoxError>(Response::new(())) }
    });
    FallbackLayer::none().layer(inner).oneshot(sent).await.unwrap();
    let (uri, headers) = seen.lock().take().unwrap();
    assert_eq!((uri.to_string().as_str(), headers.len()), ("/v1/chat/completions", 1));
}

#[tokio::test]
async fn a_body_that_can_be_sent_only_once_stays_with_its_first_target() {
    let asked = Arc::new(Mutex::new(0));
    let log = Arc::clone(&asked);
    let inner = tower::service_fn(move |_: Request<ReplayBody>| {
        *log.lock() += 1;
        async { Ok::<_, BoxError>(Response::builder().status(503).body(()).unwrap()) }
    });
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap();
    let answer = layer.layer(inner).oneshot(Request::new(ReplayBody::once(Full::from("{}")))).await.unwrap();
    assert_eq!((answer.status().as_u16(), *asked.lock()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn no_hop_begins_after_the_deadline_and_the_trail_tells_each() {
    let call = Call::new(Facts::default(), Instant::now(), Some(Instant::now() + Duration::from_secs(5)));
    let mut request = request();
    request.extensions_mut().insert(call.clone());
    let inner = tower::service_fn(|_: Request<Full<Bytes>>| async {
        tokio::time::advance(Duration::from_secs(3)).await;
        Ok::<_, BoxError>(Response::builder().status(503).body(()).unwrap())
    });
    let layer = FallbackLayer::new(targets(&["a", "b", "c"])).unwrap();
    layer.layer(inner).oneshot(request).await.unwrap();
    let lines: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["a: overloaded 503 after 3000ms", "b: overloaded 503 after 3000ms"]);
}

#[tokio::test]
async fn a_trail_that_was_written_beneath_is_not_written_twice() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    let mut request = request();
    request.extensions_mut().insert(call.clone());
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let now = Instant::now();
        Call::of(request.extensions()).unwrap().record(towline_core::Attempt::new(now, now));
        Ok::<_, BoxError>(Response::new(()))
    });
    FallbackLayer::new(targets(&["a"])).unwrap().layer(inner).oneshot(request).await.unwrap();
    assert_eq!(call.attempts(), 1);
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Observe for Log {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().push(match event {
            Event::FallbackMoved { from, to, failure } => format!("{} -> {}: {}", from.name(), to.name(), failure.kind),
            Event::FallbackExhausted { tried, failure } => format!("{tried} tried: {}", failure.kind),
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn each_move_is_told() {
    let log = Arc::new(Log::default());
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap().observer(Arc::clone(&log));
    ask(&layer, request(), |_| status(503)).await.0.unwrap();
    assert_eq!(*log.0.lock(), ["a -> b: overloaded", "2 tried: overloaded"]);
}

#[tokio::test]
async fn dropping_the_future_drops_the_hop_under_way() {
    let held = Arc::new(());
    let guard = Arc::clone(&held);
    let inner = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let guard = Arc::clone(&guard);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, BoxError>(Response::new(()))
        }
    });
    let mut service = FallbackLayer::new(targets(&["a", "b"])).unwrap().layer(inner);
    let before = Arc::strong_count(&held);
    let mut future = tokio_test::task::spawn(service.call(request()));
    assert!(future.poll().is_pending());
    assert!(Arc::strong_count(&held) > before, "the hop holds it");
    drop(future);
    assert_eq!(Arc::strong_count(&held), before);
}

#[test]
fn what_is_send_within_is_send_without() {
    fn assert_send<T: Send>(_: &T) {}
    let inner = tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(())) });
    let mut service = FallbackLayer::none().layer(inner);
    assert_send(&service);
    assert_send(&service.call(request()));
}
