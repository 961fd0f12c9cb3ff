//! The contract of tower, at each point where a call can wait.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};
use towline_core::{BoxError, RetryBudget};
use towline_retry::RetryLayer;

/// Holds everybody who comes, until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Door {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut door = self.0.lock();
        if door.0 {
            return Poll::Ready(());
        }
        door.1.push(cx.waker().clone());
        Poll::Pending
    }

    fn open(&self) {
        let mut door = self.0.lock();
        door.0 = true;
        door.1.drain(..).for_each(Waker::wake);
    }

    fn close(&self) {
        self.0.lock().0 = false;
    }
}

/// Answers 503 behind doors, and insists on being readied before each call.
#[derive(Default)]
struct Strict {
    doors: Arc<Doors>,
    readied: bool,
}

#[derive(Default)]
struct Doors {
    ready: Door,
    answer: Door,
    /// Counts the bodies that are alive.
    bodies: Arc<()>,
    calls: Mutex<usize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { doors: Arc::clone(&self.doors), readied: false }
    }
}

impl Service<Request<Full<Bytes>>> for Strict {
    type Response = Response<Silent>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Silent>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.doors.ready.poll(cx).map(|()| {
            self.readied = true;
            Ok(())
        })
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.readied), "called without having been readied");
        *self.doors.calls.lock() += 1;
        let doors = Arc::clone(&self.doors);
        Box::pin(async move {
            std::future::poll_fn(|cx| doors.answer.poll(cx)).await;
            let body = Silent { _alive: Arc::clone(&doors.bodies) };
            Ok(Response::builder().status(503).body(body)?)
        })
    }
}

/// A body that never says anything.
struct Silent {
    _alive: Arc<()>,
}

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Leads a call from one point where it waits to the next, drops it at the one with this number, and looks at what is left.
async fn dropped_at(point: usize) {
    let doors = Arc::new(Doors::default());
    let service = Strict { doors: Arc::clone(&doors), readied: false };
    let budget = RetryBudget::default();
    let seconds = Duration::from_secs;
    let layer = RetryLayer::new().budget(budget.clone()).throttle_backoff(seconds(8), seconds(8)).unwrap().seed(2);
    let mut client = layer.layer(service);
    doors.ready.open();
    client.ready().await.unwrap();
    doors.ready.close();
    let mut call = tokio_test::task::spawn(client.call(Request::new(Full::default())));

    // What lets it go on from each point, and: what is left of the ten tokens, how many bodies live, how many calls were made.
    type Step<'a> = (&'a str, Box<dyn Fn() + 'a>, Duration, f64, usize, usize);
    let none = Duration::ZERO;
    let steps: [Step<'_>; 5] = [
        ("the first attempt", Box::new(|| ()), none, 10.0, 0, 1),
        ("draining", Box::new(|| doors.answer.open()), none, 9.0, 1, 1),
        ("sleeping", Box::new(|| doors.answer.close()), Duration::from_millis(51), 9.0, 0, 1),
        ("getting ready", Box::new(|| ()), seconds(8), 9.0, 0, 1),
        ("the second attempt", Box::new(|| doors.ready.open()), none, 9.0, 0, 2),
    ];
    for (what, go_on, wait, tokens, bodies, calls) in steps.into_iter().take(point + 1) {
        go_on();
        advance(wait).await;
        assert!(call.poll().is_pending(), "{what}");
        assert!(!call.is_woken(), "{what}: it must not wake itself");
        assert_eq!(budget.tokens(), tokens, "{what}");
        assert_eq!(Arc::strong_count(&doors.bodies) - 1, bodies, "{what}");
        assert_eq!(*doors.calls.lock(), calls, "{what}");
    }
    drop(call);
    doors.ready.open();
    doors.answer.open();
    advance(seconds(60)).await;
    let sent = *doors.calls.lock();
    assert_eq!(budget.tokens(), if sent == 1 { 10.0 } else { 9.0 }, "what was not sent costs nothing");
    assert_eq!(sent, if point == 4 { 2 } else { 1 }, "and nothing is sent any more");
    assert_eq!((Arc::strong_count(&doors.bodies), Arc::strong_count(&doors)), (1, 2), "only the client's own handle is left");
}

#[tokio::test(start_paused = true)]
async fn a_call_wakes_itself_nowhere_and_dropped_anywhere_gives_back_what_it_held() {
    for point in 0..5 {
        dropped_at(point).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_calls_a_service_that_was_readied() {
    let service = Strict::default();
    service.doors.ready.open();
    service.doors.answer.open();
    let doors = Arc::clone(&service.doors);
    let client = RetryLayer::new().layer(service);
    for _ in 0..2 {
        assert_eq!(client.clone().oneshot(Request::new(Full::default())).await.unwrap().status(), 503);
    }
    assert_eq!(*doors.calls.lock(), 6);
}
