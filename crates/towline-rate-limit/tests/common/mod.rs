//! What the tests share: services beneath, calls, and clocks.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its own part, and may panic where a test may"
)]

pub(crate) mod tokens;

use std::{
    convert::Infallible,
    io,
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::Service;
use towline_core::{Call, Event, Facts, Observe, Target};
use towline_rate_limit::RateLimitLayer;

/// A layer that uses all of `n` requests a minute.
pub(crate) fn whole(n: u32) -> RateLimitLayer {
    RateLimitLayer::requests_per_minute(NonZeroU32::new(n).unwrap()).share(1.0).unwrap()
}

pub(crate) fn burst(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A service that answers at once and notes when it was called, with the number in the request's body.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    began: Instant,
    calls: Arc<Mutex<Vec<(u64, usize)>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), calls: Arc::default() }
    }

    /// Milliseconds and number of each call.
    pub(crate) fn calls(&self) -> Vec<(u64, usize)> {
        self.calls.lock().clone()
    }
}

impl Service<Request<usize>> for Log {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<usize>) -> Self::Future {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.calls.lock().push((ms, *request.body()));
        std::future::ready(Ok(Response::new(String::new())))
    }
}

/// A service that never becomes ready, with this error.
#[derive(Clone, Debug)]
pub(crate) struct Unready(pub(crate) io::ErrorKind);

impl Service<Request<usize>> for Unready {
    type Response = Response<String>;
    type Error = io::Error;
    type Future = std::future::Pending<Result<Response<String>, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn call(&mut self, _: Request<usize>) -> Self::Future {
        panic!("called, though it was not ready")
    }
}

pub(crate) fn to(name: &str) -> Request<usize> {
    let mut request = Request::new(0);
    request.extensions_mut().insert(Target::new(name, "http://host").unwrap());
    request
}

/// A request whose call must end after `left`.
pub(crate) fn within(left: Duration) -> Request<usize> {
    let now = Instant::now();
    let mut request = Request::new(0);
    request.extensions_mut().insert(Call::new(Facts::default(), now, Some(now + left)));
    request
}

/// Writes down what it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<String>>);

impl Observe for Told {
    fn observe(&self, event: &Event<'_>) {
        let target = |target: &Option<&Target>| target.map_or("-", Target::name).to_owned();
        self.0.lock().push(match event {
            Event::LimitWaiting { target: t, wait } => format!("{} waits {wait:?}", target(t)),
            Event::LimitRejected { target: t, retry_after } => format!("{} rejected {retry_after:?}", target(t)),
            Event::LimitClosed { target: t, pause } => format!("{} closed {pause:?}", target(t)),
            Event::LimitOpened { target: t } => format!("{} opened", target(t)),
            other => format!("{other:?}"),
        });
    }
}
