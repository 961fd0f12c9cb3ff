//! What counts, when, and whose circuit it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState, Verdict};
use towline_core::{BoxError, Error, Failure, FailureKind, StreamEnd, StreamHandle};

use crate::support::{Answer, Log, SECOND, Step, Upstream, ask, ask_with, half_open, head, layer, request, request_to, trip};

/// How many failures in a row are counted, as seen from outside: how many of five are missing to open the circuit.
async fn run(layer: &CircuitBreakerLayer, upstream: &Upstream) -> u32 {
    let service = layer.layer(upstream.clone());
    upstream.answers(Answer::Status(500));
    for missing in 0.. {
        if layer.handle().state(None) != CircuitState::Closed {
            return 5 - missing;
        }
        ask(&service).await.unwrap();
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_when_it_has_ended() {
    use Step::{Break, Data, Hang, Wait};
    for (steps, counted) in
        [(vec![Data("a"), Wait(SECOND), Data("b")], 0), (vec![Data("a"), Break], 4), (vec![Break], 4), (vec![Data("a"), Hang], 3)]
    {
        let (layer, upstream) = (layer(), Upstream::new(Answer::Status(500)));
        let service = layer.layer(upstream.clone());
        for _ in 0..3 {
            ask(&service).await.unwrap();
        }
        upstream.answers(Answer::Stream(steps.clone(), None));
        let _ = tokio::time::timeout(SECOND * 10, ask(&service)).await;
        assert_eq!(run(&layer, &upstream).await, counted, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_classify_read_in_a_stream_counts_for_more_than_how_its_bytes_ended() {
    let overloaded = StreamEnd::Failed(Failure::new(FailureKind::Overloaded));
    let refused = StreamEnd::Failed(Failure::new(FailureKind::ContentPolicy));
    for (end, read_all, counted) in [
        (StreamEnd::Complete, true, 0),
        (overloaded, true, 4),
        (refused, true, 3),
        (StreamEnd::Cut, true, 4),
        (StreamEnd::Complete, false, 0),
    ] {
        let (layer, upstream, handle) = (layer(), Upstream::new(Answer::Status(500)), StreamHandle::new(Instant::now()));
        let service = layer.layer(upstream.clone());
        for _ in 0..3 {
            ask(&service).await.unwrap();
        }
        upstream.answers(Answer::Stream(vec![Step::Data("a"), Step::Data("b")], Some(handle.clone())));
        let mut body = head(&service).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        handle.settle(end.clone());
        if read_all {
            body.collect().await.unwrap();
        } else {
            drop(body);
        }
        assert_eq!(run(&layer, &upstream).await, counted, "{end:?} {read_all}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_streams_succeeds_with_its_first_content_and_not_with_a_ping() {
    let (layer, upstream, handle) =
        (layer().success_threshold(1).unwrap(), Upstream::new(Answer::Status(503)), StreamHandle::new(Instant::now()));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Stream(vec![Step::Data(": ping"), Step::Data("data: 1"), Step::Hang], Some(handle.clone())));
    let mut body = head(&service).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
    handle.record_content(Instant::now(), 1);
    body.frame().await.unwrap().unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_body_has_a_length_must_bring_all_of_it() {
    let (layer, upstream) = (layer().success_threshold(1).unwrap(), Upstream::new(Answer::Status(503)));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Status(200));
    let body = head(&service).await.unwrap().into_body();
    assert_eq!((layer.handle().state(None), body.size_hint().exact()), (CircuitState::HalfOpen, Some(2)));
    body.collect().await.unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn errors_open_it_and_a_refusal_is_at_once_and_sends_nothing() {
    let (layer, upstream) = (layer(), Upstream::new(Answer::Refused));
    let mut service = layer.layer(upstream.clone());
    for _ in 0..5 {
        assert_eq!(ask(&service).await, Err(FailureKind::Connect));
    }
    let mut refused = tokio_test_task(service.ready().await.unwrap().call(request()));
    let Poll::Ready(Err(error)) = refused() else { panic!("a refusal is never pending") };
    let CircuitState::Open { retry_after } = layer.handle().state(None) else { panic!("it is open") };
    assert_eq!((error.kind(), error.failure().hint.retry_after), (FailureKind::CircuitOpen, Some(retry_after)));
    assert_eq!(upstream.sent(), 5);
}

/// Polls a future by hand, once for each time it is asked.
fn tokio_test_task<F: Future>(future: F) -> impl FnMut() -> Poll<F::Output> {
    let mut future = Box::pin(future);
    move || future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_readied_has_failed() {
    #[derive(Clone)]
    struct Unready;
    impl Service<http::Request<http_body_util::Full<bytes::Bytes>>> for Unready {
        type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Self::Response, BoxError>>;
        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("worn out".into()))
        }
        fn call(&mut self, _: http::Request<http_body_util::Full<bytes::Bytes>>) -> Self::Future {
            unreachable!("it was never ready")
        }
    }
    let layer = layer();
    for _ in 0..5 {
        assert_eq!(layer.layer(Unready).oneshot(request()).await.unwrap_err().kind(), FailureKind::Unknown);
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }));
}

#[tokio::test(start_paused = true)]
async fn each_target_has_its_own_circuit_and_events_say_whose() {
    let log = Arc::new(Log::default());
    let layer = layer().observer(Arc::clone(&log));
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    for _ in 0..5 {
        ask_with(&service, request_to("one")).await.unwrap();
    }
    assert_eq!(ask_with(&service, request_to("one")).await, Err(FailureKind::CircuitOpen));
    let handle = layer.handle();
    assert!(matches!(handle.state(Some("one")), CircuitState::Open { .. }));
    upstream.answers(Answer::Status(200));
    ask_with(&service, request_to("two")).await.unwrap();
    ask(&service).await.unwrap();
    assert_eq!([handle.state(Some("two")), handle.state(None), handle.state(Some("never seen"))], [CircuitState::Closed; 3]);
    advance(SECOND * 8).await;
    for _ in 0..2 {
        ask_with(&service, request_to("one")).await.unwrap();
    }
    assert_eq!(*log.0.lock(), ["opened one", "rejected one", "half-opened one", "closed one"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_not_forgotten_among_thousands_of_targets() {
    let layer = layer().open_for(SECOND * 3600, SECOND * 3600).unwrap();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    for _ in 0..5 {
        ask_with(&service, request_to("sick")).await.unwrap();
    }
    upstream.answers(Answer::Status(200));
    for nth in 0..3000 {
        advance(SECOND).await;
        ask_with(&service, request_to(&format!("other {nth}"))).await.unwrap();
    }
    assert_eq!(ask_with(&service, request_to("sick")).await, Err(FailureKind::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn the_user_decides_what_counts_and_the_rest_stays() {
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    let layer = layer().counts(move |failure| {
        counter.fetch_add(1, Ordering::SeqCst);
        match failure.kind {
            FailureKind::NotFound => Some(Verdict::Failure),
            FailureKind::InvalidRequest => Some(Verdict::Success),
            _ => None,
        }
    });
    let upstream = Upstream::new(Answer::Status(404));
    let service = layer.layer(upstream.clone());
    for status in [404, 404, 404, 404, 400, 404, 404, 500, 500, 401] {
        upstream.answers(Answer::Status(status));
        ask(&service).await.unwrap();
    }
    assert_eq!((layer.handle().state(None), seen.load(Ordering::SeqCst)), (CircuitState::Closed, 10));
    assert_eq!(run(&layer, &upstream).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_ask_the_circuit_that_it_is_told_of() {
    struct Curious(parking_lot::Mutex<Option<towline_circuit_breaker::CircuitBreakerHandle>>);
    impl towline_core::Observe for Curious {
        fn observe(&self, _: &towline_core::Event<'_>) {
            // Would wait for ever, were the circuit's lock still held.
            let _ = self.0.lock().as_ref().map(|handle| handle.state(None));
        }
    }
    let curious = Arc::new(Curious(parking_lot::Mutex::default()));
    let layer = layer().observer(Arc::clone(&curious));
    *curious.0.lock() = Some(layer.handle());
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    trip(&layer, &service, &upstream).await;
    assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn the_error_beneath_is_handed_on_whole() {
    let service = layer().layer(Upstream::new(Answer::Refused));
    let error: Error = head(&service).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
}
