//! A request under way to the service that it is for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error};

use super::route::Sent;

pin_project! {
    /// The future of [`Via`](crate::Via). `Send` where the shared service, its future and the request are.
    #[must_use = "futures do nothing unless polled"]
    pub struct ViaFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, S::Future, B, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, R> {
        // The shared service is being readied for this request.
        Ready { service: S, request: Option<Request<B>> },
        Shared { #[pin] future: F },
        Own { future: Sent<R> },
    }
}

impl<S: Service<Request<B>>, B, R> ViaFuture<S, B, R> {
    pub(crate) const fn shared(service: S, request: Request<B>) -> Self {
        Self { state: State::Ready { service, request: Some(request) } }
    }

    pub(crate) const fn own(future: Sent<R>) -> Self {
        Self { state: State::Own { future } }
    }
}

impl<S, B, R> Future for ViaFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Ready { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(|error| Error::from(error.into()))?;
                    let Some(request) = request.take() else { return Poll::Pending };
                    service.call(request)
                }
                StateProj::Shared { future } => return future.poll(cx).map_err(|error| Error::from(error.into())),
                StateProj::Own { future } => return future.as_mut().poll(cx),
            };
            this.state.set(State::Shared { future });
        }
    }
}

impl<S: Service<Request<B>>, B, R> fmt::Debug for ViaFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ready { .. } => "ready",
            State::Shared { .. } => "shared",
            State::Own { .. } => "own",
        };
        f.debug_struct("ViaFuture").field("state", &state).finish()
    }
}
