//! Waiting for the head.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use towline_core::{BoxError, Error, Failure, FailureKind};

use super::{ChaosBody, injection::BodyFault, rule::Given};

pin_project! {
    /// Waits, if a wait was injected, and then for the head of the response, injected or real.
    ///
    /// Once it has answered, what it waited for is dropped; polled again it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        // Boxed, so that a request that meets nothing carries no timer.
        wait: Option<Pin<Box<Sleep>>>,
        given: Option<Box<Given>>,
        fault: Option<BodyFault>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn passing(inner: F) -> Self {
        Self { inner: Some(inner), wait: None, given: None, fault: None }
    }

    pub(super) fn given(given: Given, wait: Duration) -> Self {
        Self { inner: None, wait: timer(wait), given: Some(Box::new(given)), fault: None }
    }

    pub(super) fn planned(inner: F, wait: Duration, fault: Option<BodyFault>) -> Self {
        Self { inner: Some(inner), wait: timer(wait), given: None, fault }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ChaosBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(wait) = this.wait {
            ready!(wait.as_mut().poll(cx));
            *this.wait = None;
        }
        if let Some(given) = this.given.take() {
            return Poll::Ready(match *given {
                Given::Response(response) => Ok(response.map(ChaosBody::given)),
                Given::Failure(kind) => Err(error(kind)),
            });
        }
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(inner.poll(cx)).map_err(|error| Error::from(error.into()));
        this.inner.set(None);
        let fault = this.fault.take();
        Poll::Ready(result.map(|response| response.map(|body| ChaosBody::new(body, fault))))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosFuture").field("waiting", &self.wait.is_some()).field("given", &self.given).finish_non_exhaustive()
    }
}

fn timer(wait: Duration) -> Option<Pin<Box<Sleep>>> {
    (!wait.is_zero()).then(|| Box::pin(sleep(wait)))
}

/// An error as a transport would have it, for those who look at sources.
fn error(kind: FailureKind) -> Error {
    let io = match kind {
        FailureKind::Connect => io::ErrorKind::ConnectionRefused,
        FailureKind::Transport => io::ErrorKind::ConnectionReset,
        FailureKind::StreamBroken => io::ErrorKind::UnexpectedEof,
        FailureKind::Timeout(_) => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    Error::new(Failure::new(kind)).with_source(io::Error::new(io, "injected by a chaos layer"))
}
