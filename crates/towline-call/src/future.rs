//! A call under way.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;
use towline_core::{BoxError, Call, Error, Failure, FailureKind};

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
        Reading { #[pin] body: Collect<B>, waiting: Option<(Request<Full<Bytes>>, S)> },
        Readying { request: Option<Request<Full<Bytes>>>, inner: S },
        Called { #[pin] future: F },
        Answered,
    }
}

#[derive(Clone, Copy)]
struct Clock {
    config: CallLayer,
    began: Instant,
    deadline: Option<Instant>,
}

impl<S, B, F> CallFuture<S, B, F>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(inner: S, request: Request<B>, config: CallLayer) -> Self {
        let (parts, body) = request.into_parts();
        let call = Call::of(&parts.extensions).cloned();
        let began = Instant::now();
        let outer = call.as_ref().and_then(Call::deadline);
        // Whether it asks for a stream is not known yet, and no reason to send it slowly.
        let deadline = ends(began, config.deadline).into_iter().chain(outer).min();
        let request = Request::from_parts(parts, Full::default());
        let stage = Stage::Reading { body: Collect::new(body, config.max_body), waiting: Some((request, inner)) };
        Self { stage, clock: Clock { config, began, deadline }, timer: None, call }
    }
}

impl<S, B, R> CallFuture<S, B, S::Future>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Goes on as far as it can without waiting.
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<R>, Error>> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProj::Reading { body, waiting } => {
                    // Before a byte is read, and once more before anything is sent.
                    this.clock.check()?;
                    let bytes = ready!(body.poll(cx))?;
                    let Some((mut request, inner)) = waiting.take() else { return Poll::Pending };
                    let call = begin(&mut request, bytes, &this.clock.config, this.clock.began);
                    this.clock.deadline = call.deadline();
                    *this.call = Some(call);
                    this.stage.set(Stage::Readying { request: Some(request), inner });
                }
                StageProj::Readying { request, inner } => {
                    ready!(inner.poll_ready(cx)).map_err(|error| Error::from(error.into()))?;
                    let Some(request) = request.take() else { return Poll::Pending };
                    this.clock.check()?;
                    let future = inner.call(request);
                    this.stage.set(Stage::Called { future });
                }
                StageProj::Called { future } => return future.poll(cx).map_err(|error| Error::from(error.into())),
                StageProj::Answered => return Poll::Pending,
            }
        }
    }
}

impl<S, B, F> CallFuture<S, B, F> {
    /// Ready once the deadline has passed. The clock decides, the timer only wakes.
    fn poll_late(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let mut this = self.project();
        let Some(deadline) = this.clock.deadline else { return Poll::Pending };
        loop {
            if let Err(error) = this.clock.check() {
                return Poll::Ready(error);
            }
            let timer = this.timer.as_mut().as_pin_mut();
            match timer {
                None => this.timer.set(Some(sleep_until(deadline))),
                Some(timer) if timer.deadline() != deadline => timer.reset(deadline),
                Some(timer) => ready!(timer.poll(cx)),
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
        if matches!(self.stage, Stage::Answered) {
            return Poll::Pending;
        }
        let result = match self.as_mut().advance(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ready!(self.as_mut().poll_late(cx))),
        };
        let mut this = self.project();
        this.stage.set(Stage::Answered);
        this.timer.set(None);
        let Some(call) = this.call.take() else { return Poll::Ready(result) };
        Poll::Ready(match result {
            Ok(mut response) => {
                response.extensions_mut().insert(call);
                Ok(response)
            }
            Err(error) => Err(error.with_call(call)),
        })
    }
}

impl Clock {
    fn check(&self) -> Result<(), Error> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(Error::new(Failure::new(FailureKind::DeadlineExceeded))),
            _ => Ok(()),
        }
    }
}

impl<S, B, F> fmt::Debug for CallFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Reading { .. } => "reading",
            Stage::Readying { .. } => "readying",
            Stage::Called { .. } => "called",
            Stage::Answered => "answered",
        };
        f.debug_struct("CallFuture").field("stage", &stage).field("call", &self.call).finish_non_exhaustive()
    }
}
