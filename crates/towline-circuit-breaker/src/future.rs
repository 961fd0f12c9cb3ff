//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
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

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    #[inline]
    pub(crate) const fn calling(future: S::Future, permit: Permit) -> Self {
        Self { stage: Stage::Calling { future }, permit: Some(permit) }
    }

    /// `inner` is asked again before it is called.
    #[cold]
    pub(crate) fn waiting(inner: S, request: Request<B>, mut permit: Permit) -> Self {
        permit.sent(false);
        Self { stage: Stage::Waiting { waiting: Some(Box::new((inner, request))) }, permit: Some(permit) }
    }

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
                    // A response is large: it is looked at where it lies, and moved once.
                    let polled = future.poll(cx);
                    if let (Poll::Ready(Ok(response)), Some(permit)) = (&polled, this.permit.as_mut()) {
                        permit.saw_head(response);
                    }
                    return match polled {
                        Poll::Ready(Ok(response)) => {
                            Poll::Ready(Ok(response.map(|body| GuardedBody::new(body, this.permit.take()))))
                        }
                        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error, this.permit.take()))),
                        Poll::Pending => Poll::Pending,
                    };
                }
                StageProj::Waiting { waiting } => {
                    // Who polls again after the end waits for ever.
                    let Some((inner, _)) = waiting.as_deref_mut() else { return Poll::Pending };
                    match (ready!(inner.poll_ready(cx)), waiting.take()) {
                        (Err(error), _) => Stage::Refused { error: Some(failed(error, this.permit.take())) },
                        (Ok(()), None) => Stage::Refused { error: None },
                        (Ok(()), Some(ready)) => {
                            let (mut inner, request) = *ready;
                            this.permit.iter_mut().for_each(|permit| permit.sent(true));
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

#[cold]
fn failed(error: impl Into<BoxError>, permit: Option<Permit>) -> Error {
    match permit {
        Some(permit) => permit.ended(error),
        None => Error::from(error.into()),
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("permit", &self.permit).finish_non_exhaustive()
    }
}
