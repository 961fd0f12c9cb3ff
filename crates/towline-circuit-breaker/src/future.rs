//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{GuardedBody, permit::Permit};

pin_project! {
    /// The response of a [`CircuitBreaker`](crate::CircuitBreaker). Dropped at any time it gives its permit back.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        stage: Stage<S, B, S::Future>,
        permit: Option<Permit>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, B, F> {
        Calling { #[pin] future: F },
        // On the heap, so that a future which does not wait, as nearly all do, is not made larger by a whole request.
        Waiting { waiting: Option<Box<(S, Request<B>)>> },
        Refused { error: Option<Error> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    /// Calls `inner` at once if it is ready. If not, whoever polls first asks it again, and is the one who is woken.
    #[inline]
    pub(crate) fn admitted(mut inner: S, request: Request<B>, permit: Permit) -> Self {
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                let permit = permit.sent();
                Self { stage: Stage::Calling { future: inner.call(request) }, permit: Some(permit) }
            }
            Poll::Ready(Err(error)) => Self::refused(failed(error, Some(permit))),
            Poll::Pending => Self { stage: Stage::Waiting { waiting: Some(Box::new((inner, request))) }, permit: Some(permit) },
        }
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) const fn refused(error: Error) -> Self {
        Self { stage: Stage::Refused { error: Some(error) }, permit: None }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<GuardedBody<R>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::Calling { future } => {
                    let polled = future.poll(cx);
                    if polled.is_pending() {
                        return Poll::Pending;
                    }
                    return answered(polled, this.permit);
                }
                StageProj::Waiting { waiting } => {
                    // Who polls again after the end waits for ever.
                    let Some((inner, _)) = waiting.as_deref_mut() else { return Poll::Pending };
                    match (ready!(inner.poll_ready(cx)), waiting.take()) {
                        (Err(error), _) => Stage::Refused { error: Some(failed(error, this.permit.take())) },
                        (Ok(()), None) => Stage::Refused { error: None },
                        (Ok(()), Some(ready)) => {
                            let (mut inner, request) = *ready;
                            *this.permit = this.permit.take().map(Permit::sent);
                            Stage::Calling { future: inner.call(request) }
                        }
                    }
                }
                StageProj::Refused { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            };
            this.stage.set(next);
        }
    }
}

/// Reports a head that says enough by itself; else its body will report.
#[inline]
fn answered<R: Body, E: Into<BoxError>>(
    polled: Poll<Result<Response<R>, E>>,
    permit: &mut Option<Permit>,
) -> Poll<Result<Response<GuardedBody<R>>, Error>> {
    // Looked at where it lies: a response is large, and each move costs.
    let awaited = match &polled {
        Poll::Ready(Ok(response)) => permit.take().and_then(|permit| permit.saw_head(response)),
        _ => None,
    };
    match polled {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(response)) => Poll::Ready(Ok(response.map(|body| GuardedBody::new(body, awaited)))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error, permit.take()))),
    }
}

#[cold]
fn failed(error: impl Into<BoxError>, permit: Option<Permit>) -> Error {
    let error = Error::from(error.into());
    if let Some(permit) = permit {
        permit.ended(error.failure());
    }
    error
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("permit", &self.permit).finish_non_exhaustive()
    }
}
