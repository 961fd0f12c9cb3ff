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
        // None where there is nothing to do. On the heap, so that most futures are no larger for it.
        attempt: Option<Box<Attempt<S, B>>>,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // The service is ready, the request has no credentials.
        Begin,
        // The same, of a service that is not.
        Again,
        Asking { asked: Asked },
        Under { #[pin] future: F },
        Done,
    }
}

impl<S: Service<Request<B>>, B> AuthorizeFuture<S, B> {
    pub(super) const fn through(future: S::Future) -> Self {
        Self { attempt: None, state: State::Under { future } }
    }

    pub(super) const fn begin(attempt: Box<Attempt<S, B>>) -> Self {
        Self { attempt: Some(attempt), state: State::Begin }
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
                    if !this.attempt.as_mut().is_some_and(|attempt| attempt.judge(&answer)) {
                        this.state.set(State::Done);
                        return Poll::Ready(answer);
                    }
                    this.state.set(State::Again);
                    continue;
                }
                StateProj::Asking { asked } => {
                    let found = ready!(asked.as_mut().poll(cx));
                    this.attempt.as_mut().and_then(|attempt| attempt.found(found))
                }
                StateProj::Again => {
                    let Some(attempt) = this.attempt.as_mut() else { return Poll::Pending };
                    if let Err(error) = ready!(attempt.service.poll_ready(cx)) {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(Error::from(error.into())));
                    }
                    attempt.authorize()
                }
                StateProj::Begin => this.attempt.as_mut().and_then(|attempt| attempt.authorize()),
                StateProj::Done => None,
            };
            let (Some(next), Some(attempt)) = (next, this.attempt.as_mut()) else { return Poll::Pending };
            this.state.set(match next {
                Next::Send(request) => State::Under { future: attempt.service.call(request) },
                Next::Wait(asked) => State::Asking { asked },
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
