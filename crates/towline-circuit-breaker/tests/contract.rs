//! How it keeps tower's contract with the service beneath, and what it gives back when it is dropped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::{task::Poll, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitState};
use towline_core::FailureKind;
use towline_testkit::{Probe, ProbeReport, ScriptedBody, counted};

use crate::support::{Answer, SECOND, Step, Upstream, layer, request, settle};

fn probed(limit: usize) -> (CircuitBreakerLayer, CircuitBreaker<Probe<Upstream>>, Upstream, ProbeReport) {
    let (layer, upstream) = (layer(), Upstream::new(Answer::Status(200)));
    let (probe, report) = Probe::with_limit(upstream.clone(), limit);
    (layer.clone(), layer.layer(probe), upstream, report)
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_readied_is_the_one_that_is_called() {
    let (layer, mut service, upstream, report) = probed(1);
    for answer in [Answer::Status(200), Answer::Refused, Answer::Stream(vec![Step::Data("a")], None)] {
        upstream.answers(answer);
        // Readied or not, cloned after that or not: it is always ready.
        let _ = service.ready().await.unwrap().call(request()).await.map(Response::into_body);
        let _ = service.clone().oneshot(request()).await;
        let _ = service.call(request()).await;
    }
    report.assert_clean();
    assert_eq!((report.calls(), report.reserved(), report.live()), (9, 0, 0));
    upstream.answers(Answer::Status(503));
    while layer.handle().state(None) == CircuitState::Closed {
        service.call(request()).await.unwrap();
    }
    let (calls, polls) = (report.calls(), report.ready_polls());
    assert_eq!(service.call(request()).await.unwrap_err().kind(), FailureKind::CircuitOpen);
    assert_eq!((report.calls(), report.ready_polls()), (calls, polls), "an open circuit does not even ask");
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_at_once_while_the_service_beneath_is_saturated() {
    let (layer, mut service, upstream, report) = probed(1);
    upstream.answers(Answer::Hang);
    let stuck = tokio::spawn(service.call(request()));
    settle().await;
    let (waiting, polls) = counted(service.call(request()));
    let waiting = tokio::spawn(waiting);
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(polls.get(), 1, "who waits for readiness is not polled");
    // Others, with another client, open the circuit.
    let other = layer.layer(Upstream::new(Answer::Refused));
    for _ in 0..5 {
        other.clone().oneshot(request()).await.unwrap_err();
    }
    let mut refused = tokio::spawn(service.call(request()));
    settle().await;
    let Poll::Ready(refused) = futures_poll(&mut refused).await else { panic!("a refusal is never pending") };
    assert_eq!(refused.unwrap().unwrap_err().kind(), FailureKind::CircuitOpen);
    upstream.answers(Answer::Status(200));
    stuck.abort();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200, "who was let in before is served");
    report.assert_clean();
}

async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_that_was_not_woken() {
    let (_, mut service, upstream, report) = probed(4);
    upstream.answers(Answer::After(
        SECOND * 60,
        Box::new(Answer::Stream(vec![Step::Data("a"), Step::Wait(SECOND * 60), Step::Data("b")], None)),
    ));
    let (future, polls) = counted(service.call(request()));
    let body = future.await.unwrap().into_body();
    assert_eq!((polls.get(), report.polls()), (2, 2), "to begin, and when the head came");
    let (body, polls) = counted(body.collect());
    body.await.unwrap();
    assert_eq!(polls.get(), 2, "to begin, and when the rest came");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_readiness_is_woken_though_it_was_first_asked_for_by_nobody() {
    let (_, _, upstream, report) = probed(1);
    let (probe, _) = Probe::with_limit(upstream.clone(), 1);
    let mut service = layer().layer(Slow { inner: probe, takes: SECOND, ready_at: None });
    let (future, polls) = counted(service.call(request()));
    assert_eq!(future.await.unwrap().status(), 200);
    assert_eq!(polls.get(), 2, "to begin, and when it was ready");
    assert_eq!(upstream.sent(), 1);
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_fails_is_a_failure_and_the_next_clone_is_asked_afresh() {
    let (layer, mut service, _, report) = probed(4);
    report.fail_readiness(5);
    for _ in 0..5 {
        service.call(request()).await.unwrap_err();
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }));
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_a_probe_gives_its_place_back() {
    // A service that takes its time at every step: two seconds for readiness, three for the head, three for the body.
    const STEPS: u32 = 8;
    for dropped_after in 0..=STEPS {
        let (layer, upstream) = (layer(), Upstream::new(Answer::Status(503)));
        let service = layer.layer(upstream.clone());
        support::half_open(&layer, &service, &upstream).await;
        let (probe, report) = Probe::with_limit(service_fn(slowly), 1);
        let mut slow = layer.layer(Slow { inner: probe, takes: SECOND * 2, ready_at: None });
        let exchange = async {
            let response = slow.call(request()).await.unwrap();
            response.into_body().collect().await.unwrap();
        };
        // Each step takes a second, and the drop comes between two.
        let time = SECOND * dropped_after + Duration::from_millis(500);
        let whole = tokio::time::timeout(time, exchange).await.is_ok();
        assert_eq!(whole, dropped_after == STEPS);
        assert_eq!((report.reserved(), report.live()), (0, 0), "{dropped_after}");
        report.assert_clean();
        upstream.answers(Answer::Status(200));
        let missing = if whole { 1 } else { 2 };
        for _ in 0..missing {
            assert_eq!(layer.handle().state(None), CircuitState::HalfOpen, "{dropped_after}");
            support::ask(&service).await.unwrap();
        }
        assert_eq!(layer.handle().state(None), CircuitState::Closed, "{dropped_after}");
    }
}

async fn slowly(_: Request<Full<bytes::Bytes>>) -> Result<Response<ScriptedBody>, towline_core::BoxError> {
    for _ in 0..3 {
        tokio::time::sleep(SECOND).await;
    }
    let body = ScriptedBody::new().wait(SECOND).wait(SECOND).wait(SECOND).data("{}");
    Ok(Response::new(body.with_length(2)))
}

/// Becomes ready some time after it was first asked, however often it is asked.
#[derive(Clone)]
struct Slow<S> {
    inner: S,
    takes: Duration,
    ready_at: Option<Instant>,
}

impl<S: Service<Request<Full<bytes::Bytes>>>> Service<Request<Full<bytes::Bytes>>> for Slow<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        let ready_at = *self.ready_at.get_or_insert_with(|| Instant::now() + self.takes);
        if ready_at <= Instant::now() {
            return self.inner.poll_ready(cx);
        }
        let waker = cx.waker().clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(ready_at).await;
            waker.wake();
        });
        Poll::Pending
    }

    fn call(&mut self, request: Request<Full<bytes::Bytes>>) -> S::Future {
        self.inner.call(request)
    }
}
