//! A caller who leaves, at whatever moment, cancels what is under way at once, over real sockets: the provider sees its connection close,
//! nobody else is asked, and whoever comes next finds nothing in the way.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use towline::{
    CircuitBreakerLayer, CircuitState, Dimension, Event, Limits, Observe, RateLimitLayer, RetryBudget, RetryLayer, Stack, Target,
};
use towline_testkit::{Answer, Dialect, Gate, HeldClock, MockProvider, Reply, Step, until};
use towline_tests::{Body, Hyper, ask, hyper};

const SECOND: Duration = Duration::from_secs(1);

/// What a caller who is about to leave is waiting for, and what of it providers see.
struct Scene {
    first: MockProvider,
    second: MockProvider,
    clock: HeldClock,
    breaker: CircuitBreakerLayer,
    limiter: RateLimitLayer,
    heard: Arc<Heard>,
    stack: Stack<Hyper>,
}

/// The names of what was decided.
#[derive(Default)]
struct Heard(Mutex<Vec<&'static str>>);

impl Observe for Heard {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().push(match event {
            Event::RetryScheduled { .. } => "retry",
            Event::LimitWaiting { .. } => "line",
            Event::FallbackMoved { .. } => "hop",
            _ => return,
        });
    }
}

impl Heard {
    async fn of(&self, name: &str) {
        until(|| self.0.lock().contains(&name)).await;
    }
}

impl Scene {
    /// What the first target does, and then it is well. Were a leave taken for a failure, the next one would open its circuit.
    async fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::that_opens_after(2, script).await
    }

    async fn that_opens_after(failures: u32, script: impl IntoIterator<Item = Reply>) -> Self {
        let (first, second) = (MockProvider::start_with(script).await.unwrap(), MockProvider::start().await.unwrap());
        for provider in [&first, &second] {
            provider.speak(Dialect::OpenAiChat, Answer::counting(60));
        }
        let limits = Limits::none().requests_per_minute(NonZeroU32::new(600).unwrap()).concurrency(NonZeroU32::MIN);
        let (breaker, limiter) =
            (CircuitBreakerLayer::new().consecutive_failures(failures).unwrap(), RateLimitLayer::new(limits));
        let heard = Arc::new(Heard::default());
        let limiter = limiter.observer(Arc::clone(&heard));
        let retry = RetryLayer::new().seed(3).observer(Arc::clone(&heard)).budget(RetryBudget::new(0.1, 1, 1).unwrap());
        let targets = [("first", &first), ("second", &second)].map(|(name, at)| Target::new(name, at.url("")).unwrap());
        let fallback = towline::FallbackLayer::new(targets).unwrap().observer(Arc::clone(&heard));
        let stack = towline::stack(hyper()).fallback(fallback).retry(retry);
        let stack = stack.circuit_breaker(breaker.clone()).rate_limit(limiter.clone());
        Self { first, second, clock: HeldClock::hold(), breaker, limiter, heard, stack }
    }

    /// A caller who reads its stream until it is told to leave.
    fn calls(&self) -> JoinHandle<()> {
        let service = self.stack.build().unwrap();
        tokio::spawn(async move {
            let mut body = service.oneshot(request(true)).await.unwrap().into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
            }
        })
    }

    /// The caller leaves: its providers see that with no time gone by, and nothing is left of it.
    async fn leaves(&self, call: JoinHandle<()>, gone: [usize; 2], asked: [usize; 2]) {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        self.first.cancelled(gone[0]).await;
        self.second.cancelled(gone[1]).await;
        // Nothing that was put off is done after all.
        for _ in 0..100 {
            self.clock.advance(SECOND / 2).await;
            self.clock.settle(8).await;
        }
        assert_eq!([self.first.hits(), self.second.hits()], asked);
        assert_eq!([self.first.cancellations(), self.second.cancellations()], gone);
        for name in ["first", "second"].map(Some) {
            let limits = self.limiter.handle();
            assert_eq!(
                (limits.waiting(name), limits.under_way(name), limits.left(name, Dimension::Concurrency)),
                (0, 0, Some(1))
            );
            assert_eq!(self.breaker.handle().state(name), CircuitState::Closed, "a caller's leave says nothing of {name:?}");
        }
        // And the next one is served by the first, with a retry if need be: the one that was put off has not been paid for.
        self.first.script([Reply::status(503)]);
        let got = self.clock.drive(SECOND / 20, ask(self.stack.build().unwrap(), request(false))).await;
        assert_eq!((got.counted(), &*got.trail), (60, "first overloaded, first ok"));
    }
}

fn request(stream: bool) -> Request<Body> {
    let body = format!(r#"{{"model":"m","stream":{stream},"messages":[]}}"#);
    Request::post("/v1/chat/completions").header("content-type", "application/json").body(Full::from(body)).unwrap()
}

fn stream() -> Reply {
    Reply::stream_of(Dialect::OpenAiChat, &Answer::counting(60))
}

#[tokio::test(start_paused = true)]
async fn before_the_head() {
    let scene = Scene::new([Reply::silence()]).await;
    let call = scene.calls();
    scene.first.received(1).await;
    scene.leaves(call, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn within_the_head() {
    let gate = Gate::new();
    let scene = Scene::new([stream().in_head(Step::Gate(gate.clone()))]).await;
    let call = scene.calls();
    gate.reached(1).await;
    scene.clock.settle(64).await;
    scene.leaves(call, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn before_the_first_content_while_the_stream_is_held() {
    let gate = Gate::new();
    let scene = Scene::new([stream().after_pieces(0, Step::Gate(gate.clone()))]).await;
    let call = scene.calls();
    gate.reached(1).await;
    scene.clock.settle(64).await;
    scene.leaves(call, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn between_the_chunks_of_a_stream_wherever_that_is() {
    for pieces in [1, 2, 30, 59, 60] {
        let gate = Gate::new();
        let scene = Scene::new([stream().after_pieces(pieces, Step::Gate(gate.clone()))]).await;
        let call = scene.calls();
        gate.reached(1).await;
        scene.clock.settle(64).await;
        scene.leaves(call, [1, 0], [1, 0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn within_an_event_that_waits_for_its_rest() {
    let gate = Gate::new();
    let scene = Scene::new([stream().after_pieces(3, Step::Gate(gate.clone())).at(900, Step::Hang)]).await;
    let call = scene.calls();
    scene.first.received(1).await;
    gate.open();
    scene.clock.settle(256).await;
    scene.leaves(call, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_body_of_an_error_is_read() {
    let gate = Gate::new();
    let said = Reply::status(503).json(r#"{"error":{"message":"busy"}}"#).at(9, Step::Gate(gate.clone()));
    let scene = Scene::new([said]).await;
    let call = scene.calls();
    gate.reached(1).await;
    scene.clock.settle(64).await;
    scene.leaves(call, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn during_a_backoff() {
    let scene = Scene::that_opens_after(3, [Reply::status(503)]).await;
    let call = scene.calls();
    scene.heard.of("retry").await;
    scene.leaves(call, [0, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn while_another_target_is_asked() {
    let scene = Scene::new([Reply::error_of(Dialect::OpenAiChat, towline_testkit::ProviderError::QuotaExhausted)]).await;
    scene.second.script([Reply::silence()]);
    let call = scene.calls();
    scene.heard.of("hop").await;
    scene.second.received(1).await;
    scene.leaves(call, [0, 1], [1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn in_line_before_a_limit() {
    let gate = Gate::new();
    let scene = Scene::new([stream().after_pieces(3, Step::Gate(gate.clone()))]).await;
    let first = scene.calls();
    gate.reached(1).await;
    // One call at once is allowed, so the next one waits, and leaves the line without having asked anybody.
    let call = scene.calls();
    scene.heard.of("line").await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!((scene.limiter.handle().waiting(Some("first")), scene.first.hits(), scene.first.cancellations()), (0, 1, 0));
    scene.leaves(first, [1, 0], [1, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn while_it_connects() {
    let scene = Scene::new([]).await;
    scene.first.on_accept([Step::Hang]);
    let call = scene.calls();
    scene.first.connected(1).await;
    scene.clock.settle(64).await;
    // Nothing was read of it, so it was no request: the connection alone is there.
    scene.leaves(call, [0, 0], [0, 0]).await;
}
