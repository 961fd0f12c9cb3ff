//! The attempts, one after the other.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;
use towline_core::{
    BoxError, Error, StopReason,
    body::{Drain, DrainLimits, TryClone},
};

use crate::{
    progress::{Next, Progress, Step},
    service::Again,
};

pin_project! {
    /// The future of [`Retry`](crate::Retry).
    ///
    /// `Send` where the service beneath, its future and both bodies are. Dropped at any point it sends nothing more,
    /// and gives back what it took from the retry budget for an attempt that was not sent.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>, // Against our custom, since a field has the type of its future.
    {
        #[pin]
        state: State<S::Future, R>,
        // There while draining, sleeping and getting ready.
        next: Option<Box<Next<S, B, R>>>,
        // `None` if the request can be sent only once.
        again: Option<Again<S, B>>,
        progress: Progress,
    }
}

pin_project! {
    /// `Attempt` -> `Done`, or -> `Drain` -> `Sleep` -> `Ready` -> `Attempt`, where the middle ones are left out if
    /// there is nothing to do.
    #[project = StateProj]
    enum State<F, R> {
        Attempt { #[pin] future: F },
        Drain { #[pin] drain: Drain<R> },
        Sleep { #[pin] sleep: Sleep },
        Ready,
        Done,
    }
}

impl<S: Service<Request<B>>, B, R> ResponseFuture<S, B, R> {
    pub(crate) const fn new(first: S::Future, again: Option<Again<S, B>>, progress: Progress) -> Self {
        Self { state: State::Attempt { future: first }, next: None, again, progress }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: TryClone,
    R: Body,
{
    type Output = Result<Response<R>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let state = match this.state.as_mut().project() {
                StateProj::Attempt { future } => {
                    let result = match ready!(future.poll(cx)) {
                        Ok(response) if this.progress.passes(&response) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                        result => result.map_err(|error| Error::from(error.into())),
                    };
                    match this.progress.judge(result, this.again.as_ref().map(|again| &again.kept)) {
                        Step::Answer(answer) => {
                            this.state.set(State::Done);
                            return Poll::Ready(answer);
                        }
                        Step::Again(next, body) => {
                            let next = this.next.insert(next);
                            match body {
                                Some(body) => State::Drain { drain: Drain::new(body, DrainLimits::new()) },
                                None => State::wait(next),
                            }
                        }
                    }
                }
                StateProj::Drain { drain } => {
                    ready!(drain.poll(cx));
                    this.next.as_deref().map_or(State::Done, State::wait)
                }
                StateProj::Sleep { sleep } => {
                    ready!(sleep.poll(cx));
                    State::Ready
                }
                StateProj::Ready => {
                    let (Some(again), Some(next)) = (this.again.as_ref(), this.next.as_mut()) else { return Poll::Pending };
                    let service = next.service.get_or_insert_with(|| again.spare.service());
                    let ready = ready!(service.poll_ready(cx));
                    let Some(mut next) = this.next.take() else { return Poll::Pending };
                    let service = next.service.take();
                    let sent = match ready {
                        Ok(()) => this.progress.send(*next),
                        Err(error) => Err(this.progress.abandon(*next, StopReason::NotRetryable, || Error::from(error.into()))),
                    };
                    match sent {
                        Ok(request) => {
                            let Some(mut service) = service else { return Poll::Pending };
                            State::Attempt { future: service.call(request) }
                        }
                        Err(answer) => {
                            this.state.set(State::Done);
                            return Poll::Ready(answer);
                        }
                    }
                }
                StateProj::Done => return Poll::Pending,
            };
            this.state.set(state);
        }
    }
}

impl<F, R> State<F, R> {
    fn wait<S, B>(next: &Next<S, B, R>) -> Self {
        next.until.map_or(Self::Ready, |until| Self::Sleep { sleep: sleep_until(until) })
    }
}

impl<S: Service<Request<B>>, B, R> fmt::Debug for ResponseFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Attempt { .. } => "attempt",
            State::Drain { .. } => "drain",
            State::Sleep { .. } => "sleep",
            State::Ready => "ready",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
