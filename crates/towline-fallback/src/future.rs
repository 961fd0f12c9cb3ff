//! One call, hop after hop.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;
use towline_core::{BoxError, Error, Target, body::TryClone};

use crate::{
    answer::Answer,
    config::Config,
    progress::{Progress, Step},
};

pin_project! {
    /// The future of [`Fallback`](crate::Fallback).
    ///
    /// Ends with the first answer, or with the most useful failure. Dropping it cancels the hop that is under way; no other is begun.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        inner: S,
        progress: Progress<B, R>,
        #[pin]
        state: State<B, S::Future>,
        // When the hop under way has used up its share of the call's time; made when it first has to wait.
        #[pin]
        share: Option<Sleep>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, F> {
        // The inner service is being readied for this request.
        Ready { request: Option<Request<B>> },
        Under { #[pin] future: F },
        // The request could not be made for this target.
        Refused { error: Option<Error> },
        // All targets are kept back; this one is the first to recover.
        Waiting { #[pin] sleep: Sleep, at: usize },
        Done,
    }
}

/// What a poll of the state brought.
enum Brought<R> {
    Answer(Answer<R>),
    Waited(usize),
    /// The service beneath, which is the same for all targets, will never be ready.
    Broken(Error),
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: Body + TryClone + From<Bytes>,
{
    pub(crate) fn new(inner: S, config: Arc<Config>, request: Request<B>) -> Self {
        let (progress, request) = Progress::begin(config, request);
        Self { inner, progress, state: State::hop(request), share: None }
    }
}

impl<B, F> State<B, F> {
    fn hop(request: Result<Request<B>, Error>) -> Self {
        match request {
            Ok(request) => Self::Ready { request: Some(request) },
            Err(error) => Self::Refused { error: Some(error) },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    type Output = Answer<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        loop {
            let step = match self.as_mut().poll_state(cx) {
                Poll::Ready(Brought::Answer(answer)) => self.as_mut().project().progress.judge(answer),
                Poll::Ready(Brought::Waited(at)) => self.as_mut().project().progress.resume(at),
                Poll::Ready(Brought::Broken(error)) => self.as_mut().project().progress.broken(error),
                Poll::Pending => {
                    ready!(self.as_mut().poll_share(cx));
                    let mut this = self.as_mut().project();
                    this.progress.give_up(|| this.state.set(State::Done))
                }
            };
            let mut this = self.as_mut().project();
            this.share.set(None);
            this.state.set(match step {
                Step::Hop(request) => State::hop(request),
                Step::Wait(until, at) => State::Waiting { sleep: sleep_until(until), at },
                Step::Answer(answer) => {
                    this.state.set(State::Done);
                    return Poll::Ready(answer);
                }
            });
        }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    fn poll_state(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Brought<R>> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Ready { request } => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Brought::Broken(Error::from(error.into())));
                    }
                    let Some(request) = request.take() else { return Poll::Pending };
                    this.inner.call(request)
                }
                StateProj::Under { future } => {
                    return future.poll(cx).map(|answer| Brought::Answer(answer.map_err(|error| Error::from(error.into()))));
                }
                StateProj::Refused { error } => {
                    return error.take().map_or(Poll::Pending, |error| Poll::Ready(Brought::Answer(Err(error))));
                }
                StateProj::Waiting { sleep, at } => return sleep.poll(cx).map(|()| Brought::Waited(*at)),
                StateProj::Done => return Poll::Pending,
            };
            this.state.set(State::Under { future });
        }
    }

    /// Whether the hop under way, which has to wait, has used up its share.
    fn poll_share(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !matches!(*this.state, State::Ready { .. } | State::Under { .. }) {
            return Poll::Pending;
        }
        if this.share.is_none() {
            let Some(at) = this.progress.give_up_at() else { return Poll::Pending };
            this.share.set(Some(sleep_until(at)));
        }
        this.share.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("target", &self.progress.target().map(Target::name)).finish_non_exhaustive()
    }
}
