use std::{
    future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service, ServiceExt};
use towline_core::{BoxError, Failure, FailureKind, Outcome, RetryBudget};
use towline_retry::RetryLayer;

use crate::support::{Answer, Body, Listener, Log, classified, provider, request_with, status, with_headers};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_deadline_is_handed_on_at_once() {
    let listener = Listener::default();
    let layer = RetryLayer::new().observer(Arc::new(listener.clone()));
    let (log, provider) = provider(|_| with_headers(429, &[("retry-after", "10")]));
    let began = Instant::now();
    let answer = layer.layer(provider).oneshot(request_with(Some(SECOND * 9)).1).await.unwrap();
    assert_eq!((log.count(), began.elapsed()), (1, Duration::ZERO));
    assert_eq!(answer.headers()["retry-after"], "10");
    assert_eq!(listener.heard(), ["1 failed, rate_limit", "stopped at 1, Deadline"]);
}

#[tokio::test(start_paused = true)]
async fn no_wait_of_ours_ends_after_the_deadline_and_nothing_is_sent_after_it() {
    for seed in 0..100 {
        let (log, provider) = provider(|_| status(503));
        let layer = RetryLayer::new().attempts(50).unwrap().seed(seed);
        let began = Instant::now();
        let _ = layer.layer(provider).oneshot(request_with(Some(SECOND * 3)).1).await;
        assert!(began.elapsed() < SECOND * 3 && log.times().iter().all(|at| *at < began + SECOND * 3));
    }
}

/// Answers at once, and is not ready again for a while after each request, in none of its clones.
struct Slow {
    log: Log,
    answer: fn() -> Answer,
    again: Arc<Mutex<Option<Instant>>>,
    ready: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
    fails: bool,
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        let again = Arc::clone(&self.again);
        Self { log: self.log.clone(), answer: self.answer, again, ready: None, fails: self.fails }
    }
}

impl Service<Request<Body>> for Slow {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = future::Ready<Answer>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let Some(again) = *self.again.lock() else { return Poll::Ready(Ok(())) };
        let sleep = self.ready.get_or_insert_with(|| Box::pin(sleep_until(again)));
        std::task::ready!(sleep.as_mut().poll(cx));
        Poll::Ready(if self.fails { Err("out of order".into()) } else { Ok(()) })
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.log.note(request);
        *self.again.lock() = Some(Instant::now() + SECOND * 30);
        future::ready((self.answer)())
    }
}

fn slow(answer: fn() -> Answer, fails: bool) -> Slow {
    Slow { log: Log::default(), answer, again: Arc::default(), ready: None, fails }
}

/// There is nothing to drain, so it may be kept.
fn empty() -> Answer {
    Ok(Response::builder().status(503).body(Body::default())?)
}

fn overloaded() -> Answer {
    classified(503, Outcome::Failure(Failure::new(FailureKind::Overloaded)))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_too_late_is_not_called() {
    let service = slow(|| status(503), false);
    let log = service.log.clone();
    let error = RetryLayer::new().layer(service).oneshot(request_with(Some(SECOND * 20)).1).await.unwrap_err();
    assert_eq!((log.count(), error.kind()), (1, FailureKind::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_handed_on_where_it_lies_in_memory() {
    for answer in [empty, overloaded] {
        for (fails, reason) in [(false, "stopped at 1, Deadline"), (true, "stopped at 1, NotRetryable")] {
            let listener = Listener::default();
            let budget = RetryBudget::default();
            let layer = RetryLayer::new().observer(Arc::new(listener.clone())).budget(budget.clone());
            let service = slow(answer, fails);
            let log = service.log.clone();
            let left = if fails { None } else { Some(SECOND * 20) };
            let answer = layer.layer(service).oneshot(request_with(left).1).await.unwrap();
            assert_eq!((log.count(), answer.status().as_u16()), (1, 503));
            assert_eq!(listener.heard().last().unwrap(), reason);
            assert_eq!(budget.tokens(), 10.0, "what was not sent costs nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_says_so_where_no_answer_is_left() {
    let service = slow(|| status(503), true);
    let error = RetryLayer::new().layer(service).oneshot(request_with(None).1).await.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "out of order");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_sent_once() {
    let (log, provider) = provider(|_| Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()));
    let _ = RetryLayer::new().layer(provider).oneshot(request_with(Some(Duration::ZERO)).1).await;
    assert_eq!(log.count(), 1, "not even the free retry");
}
