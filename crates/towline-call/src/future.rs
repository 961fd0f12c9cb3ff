//! A call under way.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;
use towline_core::{AtOnce, BoxError, Call, Error, Failure, FailureKind, ready_at_once};

use crate::{
    CallLayer,
    begin::{begin, ends},
    collect::Collect,
};

pin_project! {
    /// Reads the caller's body, then readies and calls the service beneath, all by the deadline.
    ///
    /// Polled again after it has answered, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct CallFuture<S, B, F> {
        #[pin]
        stage: Stage<S, B, F>,
        clock: Clock,
        // Made when there is first something to wait for. In place, since this future is pinned while it waits anyway.
        #[pin]
        timer: Option<Sleep>,
        // Known from the start where this is part of a call, else once the body was read.
        call: Option<Call>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, B, F> {
        Called { #[pin] future: F },
        Rare { rare: Option<Box<Rare<S, B>>> },
    }
}

/// What there is to wait for before the service beneath can be called, and for most calls is not. On the heap, so that the futures of
/// the others are no larger for it.
#[allow(clippy::large_enum_variant, reason = "it is on the heap as it is")]
enum Rare<S, B> {
    Reading(Pin<Box<Collect<B>>>, Request<Full<Bytes>>, S),
    Readying(Request<Full<Bytes>>, S),
    Failed(Error),
}

#[derive(Clone, Copy)]
struct Clock {
    config: CallLayer,
    began: Instant,
    deadline: Option<Instant>,
}

impl<S, B, R> CallFuture<S, B, S::Future>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// A call whose body is there as a whole goes to a service that is ready here and now.
    pub(crate) fn begin(inner: &mut S, request: Request<B>, config: CallLayer) -> Self
    where
        S: Clone,
    {
        let (parts, body) = request.into_parts();
        let call = Call::of(&parts.extensions).cloned();
        let began = Instant::now();
        let outer = call.as_ref().and_then(Call::deadline);
        // Whether it asks for a stream is not known yet, and no reason to send it slowly.
        let deadline = ends(began, config.deadline).into_iter().chain(outer).min();
        let mut clock = Clock { config, began, deadline };
        let mut request = Request::from_parts(parts, Full::default());
        if let Err(error) = clock.check(began) {
            return Self::rare(Rare::Failed(error), clock, call);
        }
        // It is read where it lies, so it must lie where it can stay.
        let mut body = Box::pin(Collect::new(body, config.max_body));
        let bytes = match body.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(bytes)) => bytes,
            Poll::Ready(Err(error)) => return Self::rare(Rare::Failed(error), clock, call),
            Poll::Pending => return Self::rare(Rare::Reading(body, request, inner.clone()), clock, call),
        };
        let call = Some(clock.begin(&mut request, bytes));
        if let Err(error) = clock.check(began) {
            return Self::rare(Rare::Failed(error), clock, call);
        }
        match ready_at_once(inner) {
            AtOnce::Ready => Self { stage: Stage::Called { future: inner.call(request) }, clock, timer: None, call },
            AtOnce::Later(asked) => Self::rare(Rare::Readying(request, asked), clock, call),
            AtOnce::Failed(error) => Self::rare(Rare::Failed(Error::from(error.into())), clock, call),
        }
    }

    fn rare(rare: Rare<S, B>, clock: Clock, call: Option<Call>) -> Self {
        Self { stage: Stage::Rare { rare: Some(Box::new(rare)) }, clock, timer: None, call }
    }

    /// Goes on as far as it can without waiting.
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<R>, Error>> {
        let mut this = self.project();
        loop {
            let rare = match this.stage.as_mut().project() {
                StageProj::Called { future } => return future.poll(cx).map_err(|error| Error::from(error.into())),
                StageProj::Rare { rare } => rare,
            };
            match rare.as_deref_mut() {
                Some(Rare::Reading(body, ..)) => {
                    this.clock.check(Instant::now())?;
                    let bytes = ready!(body.as_mut().poll(cx))?;
                    let Some(Rare::Reading(_, mut request, inner)) = rare.take().map(|rare| *rare) else { continue };
                    *this.call = Some(this.clock.begin(&mut request, bytes));
                    *rare = Some(Box::new(Rare::Readying(request, inner)));
                }
                Some(Rare::Readying(_, inner)) => {
                    ready!(inner.poll_ready(cx)).map_err(|error| Error::from(error.into()))?;
                    let Some(Rare::Readying(request, mut inner)) = rare.take().map(|rare| *rare) else { continue };
                    this.clock.check(Instant::now())?;
                    this.stage.set(Stage::Called { future: inner.call(request) });
                }
                Some(Rare::Failed(_)) | None => match rare.take().map(|rare| *rare) {
                    Some(Rare::Failed(error)) => return Poll::Ready(Err(error)),
                    _ => return Poll::Pending,
                },
            }
        }
    }
}

impl<S, B, F> CallFuture<S, B, F> {
    /// Ready once the deadline has passed. The clock decides, the timer only wakes.
    fn poll_late(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let mut this = self.project();
        let Some(deadline) = this.clock.deadline else { return Poll::Pending };
        match this.timer.as_mut().as_pin_mut() {
            // Nobody has waited yet, so that the time need not be asked for.
            None => this.timer.set(Some(sleep_until(deadline))),
            Some(timer) => {
                if let Err(error) = this.clock.check(Instant::now()) {
                    return Poll::Ready(error);
                }
                if timer.deadline() != deadline {
                    timer.reset(deadline);
                }
            }
        }
        loop {
            let Some(timer) = this.timer.as_mut().as_pin_mut() else { return Poll::Pending };
            ready!(timer.poll(cx));
            if let Err(error) = this.clock.check(Instant::now()) {
                return Poll::Ready(error);
            }
        }
    }
}

impl<S, B, R> Future for CallFuture<S, B, S::Future>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.stage.is_over() {
            return Poll::Pending;
        }
        let result = match self.as_mut().advance(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ready!(self.as_mut().poll_late(cx))),
        };
        let mut this = self.project();
        this.stage.set(Stage::Rare { rare: None });
        this.timer.set(None);
        match (result, this.call.take()) {
            (Ok(mut response), call) => {
                call.map(|call| response.extensions_mut().insert(call));
                Poll::Ready(Ok(response))
            }
            (Err(error), Some(call)) => Poll::Ready(Err(error.with_call(call))),
            (Err(error), None) => Poll::Ready(Err(error)),
        }
    }
}

impl<S, B, F> Stage<S, B, F> {
    const fn is_over(&self) -> bool {
        matches!(self, Self::Rare { rare: None })
    }
}

impl Clock {
    /// Makes a call of a request whose body is there, and ends when that does.
    fn begin(&mut self, request: &mut Request<Full<Bytes>>, body: Bytes) -> Call {
        let call = begin(request, body, &self.config, self.began);
        self.deadline = call.deadline();
        call
    }

    fn check(&self, now: Instant) -> Result<(), Error> {
        match self.deadline {
            Some(deadline) if deadline <= now => Err(Error::new(Failure::new(FailureKind::DeadlineExceeded))),
            _ => Ok(()),
        }
    }
}

impl<S, B, F> fmt::Debug for CallFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Called { .. } => "called",
            Stage::Rare { rare } => match rare.as_deref() {
                Some(Rare::Reading(..)) => "reading",
                Some(Rare::Readying(..)) => "readying",
                Some(Rare::Failed(_)) => "failed",
                None => "answered",
            },
        };
        f.debug_struct("CallFuture").field("stage", &stage).field("call", &self.call).finish_non_exhaustive()
    }
}
