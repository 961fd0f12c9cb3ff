//! One attempt, with one credential after the other.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error, body::TryClone};

use super::attempt::{Asked, Attempt, Next};

pin_project! {
    /// The future of [`AuthorizeService`](crate::AuthorizeService).
    ///
    /// Dropping it drops the attempt under way, or the wait for its credential.
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthorizeFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        // None where there is nothing to do.
        attempt: Option<Box<Attempt<S, B>>>,
        #[pin]
        state: State<B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, F> {
        // The service is ready, this request has no credentials.
        Begin { request: Option<Request<B>> },
        // The same, of a service that is not.
        Again { request: Option<Request<B>> },
        Asking { asked: Asked, request: Option<Request<B>> },
        Under { #[pin] future: F },
        Done,
    }
}

impl<S: Service<Request<B>>, B> AuthorizeFuture<S, B> {
    pub(super) const fn through(future: S::Future) -> Self {
        Self { attempt: None, state: State::Under { future } }
    }

    pub(super) const fn begin(attempt: Box<Attempt<S, B>>, request: Request<B>) -> Self {
        Self { attempt: Some(attempt), state: State::Begin { request: Some(request) } }
    }
}

impl<S, B, R> Future for AuthorizeFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Under { future } => {
                    let answer = ready!(future.poll(cx)).map_err(|error| Error::from(error.into()));
                    let again = this.attempt.as_mut().and_then(|attempt| attempt.judge(&answer));
                    let Some(request) = again else {
                        this.state.set(State::Done);
                        return Poll::Ready(answer);
                    };
                    this.state.set(State::Again { request: Some(request) });
                    continue;
                }
                StateProj::Asking { asked, request } => {
                    let found = ready!(asked.as_mut().poll(cx));
                    request.take().map(|request| Attempt::<S, B>::found(request, found))
                }
                StateProj::Again { request } => {
                    let Some(attempt) = this.attempt.as_mut() else { return Poll::Pending };
                    if let Err(error) = ready!(attempt.service.poll_ready(cx)) {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(Error::from(error.into())));
                    }
                    request.take().map(|request| attempt.authorize(request))
                }
                StateProj::Begin { request } => {
                    this.attempt.as_mut().and_then(|attempt| request.take().map(|request| attempt.authorize(request)))
                }
                StateProj::Done => None,
            };
            let (Some(next), Some(attempt)) = (next, this.attempt.as_mut()) else { return Poll::Pending };
            this.state.set(match next {
                Next::Send(request) => State::Under { future: attempt.service.call(request) },
                Next::Wait(asked, request) => State::Asking { asked, request: Some(request) },
                Next::Refuse(error) => {
                    this.state.set(State::Done);
                    return Poll::Ready(Err(error));
                }
            });
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for AuthorizeFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeFuture").field("has_own_credentials", &self.attempt.is_some()).finish_non_exhaustive()
    }
}
