//! One call, hop after hop.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;
use towline_core::{BoxError, Error, Spare, Target, body::TryClone};

use crate::{
    answer::Answer,
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
        spare: Spare<S>,
        progress: Progress<B, R>,
        #[pin]
        state: State<S, B, S::Future>,
        // When the hop under way has used up its share of the call's time; made when it first has to wait.
        #[pin]
        share: Option<Sleep>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Under { #[pin] future: F },
        Rare { rare: Option<Box<Rare<S, B>>> },
        // All targets are kept back; this one is the first to recover.
        Waiting { #[pin] sleep: Sleep, at: usize },
        Done,
    }
}

/// What few calls come to. On the heap, so that the futures of the others are no larger for it.
#[allow(clippy::large_enum_variant, reason = "it is on the heap as it is")]
enum Rare<S, B> {
    /// The inner service is being readied for this request.
    Readying(S, Request<B>),
    /// The request could not be made for this target.
    Refused(Error),
    /// The inner service will never be ready.
    Broken(Error),
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
{
    pub(crate) const fn under(future: S::Future, progress: Progress<B, R>, spare: Spare<S>) -> Self {
        Self { spare, progress, state: State::Under { future }, share: None }
    }

    /// `asked` was not ready yet, and is asked again.
    pub(crate) fn readying(asked: S, request: Request<B>, progress: Progress<B, R>, spare: Spare<S>) -> Self {
        Self { spare, progress, state: State::rare(Rare::Readying(asked, request)), share: None }
    }

    pub(crate) fn refused(error: Error, progress: Progress<B, R>, spare: Spare<S>) -> Self {
        Self { spare, progress, state: State::rare(Rare::Refused(error)), share: None }
    }

    pub(crate) fn broken(error: BoxError, progress: Progress<B, R>, spare: Spare<S>) -> Self {
        Self { spare, progress, state: State::rare(Rare::Broken(Error::from(error))), share: None }
    }
}

impl<S, B, F> State<S, B, F> {
    fn rare(rare: Rare<S, B>) -> Self {
        Self::Rare { rare: Some(Box::new(rare)) }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    type Output = Answer<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        loop {
            let step = match self.as_mut().poll_state(cx) {
                Poll::Ready(Brought::Answer(Ok(mut response))) => {
                    let mut this = self.as_mut().project();
                    if this.progress.passes(&mut response) {
                        this.state.set(State::Done);
                        this.share.set(None);
                        return Poll::Ready(Ok(response));
                    }
                    this.progress.judge(Ok(response))
                }
                Poll::Ready(Brought::Answer(Err(error))) => self.as_mut().project().progress.judge(Err(error)),
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
                Step::Hop(Ok(request)) => State::rare(Rare::Readying(this.spare.service(), request)),
                Step::Hop(Err(error)) => State::rare(Rare::Refused(error)),
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
            let rare = match this.state.as_mut().project() {
                StateProj::Under { future } => {
                    return future.poll(cx).map(|answer| Brought::Answer(answer.map_err(|error| Error::from(error.into()))));
                }
                StateProj::Waiting { sleep, at } => return sleep.poll(cx).map(|()| Brought::Waited(*at)),
                StateProj::Rare { rare } => rare,
                StateProj::Done => return Poll::Pending,
            };
            if let Some(Rare::Readying(inner, _)) = rare.as_deref_mut()
                && let Err(error) = ready!(inner.poll_ready(cx))
            {
                return Poll::Ready(Brought::Broken(Error::from(error.into())));
            }
            match rare.take().map(|rare| *rare) {
                Some(Rare::Readying(mut inner, request)) => this.state.set(State::Under { future: inner.call(request) }),
                Some(Rare::Refused(error)) => return Poll::Ready(Brought::Answer(Err(error))),
                Some(Rare::Broken(error)) => return Poll::Ready(Brought::Broken(error)),
                None => return Poll::Pending,
            }
        }
    }

    /// Whether the hop under way, which has to wait, has used up its share.
    fn poll_share(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !matches!(*this.state, State::Rare { .. } | State::Under { .. }) {
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
