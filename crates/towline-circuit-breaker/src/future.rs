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
        Rare { rare: Option<Box<Rare<S, B>>> },
    }
}

/// What few calls come to. On the heap, so that the futures of the others are no larger for it, and soon dropped.
#[allow(clippy::large_enum_variant, reason = "it is on the heap as it is")]
enum Rare<S, B> {
    Waiting(S, Request<B>),
    Refused(Error),
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
        Self { stage: Stage::rare(Rare::Waiting(inner, request)), permit: Some(permit) }
    }

    #[cold]
    pub(crate) fn refused(error: Error) -> Self {
        Self { stage: Stage::rare(Rare::Refused(error)), permit: None }
    }
}

impl<S, B, F> Stage<S, B, F> {
    fn rare(rare: Rare<S, B>) -> Self {
        Self::Rare { rare: Some(Box::new(rare)) }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<GuardedBody<R>>, Error>;

    // Where this were inlined, the response would be moved by whoever awaits it once more than it is returned.
    #[inline(never)]
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
                            let permit = this.permit.take();
                            Poll::Ready(Ok(response.map(|body| GuardedBody::new(body, permit))))
                        }
                        Poll::Ready(Err(error)) => Poll::Ready(Err(failed(error, this.permit.take()))),
                        Poll::Pending => Poll::Pending,
                    };
                }
                // Who polls again after the end waits for ever.
                StageProj::Rare { rare } => {
                    if let Some(Rare::Waiting(inner, _)) = rare.as_deref_mut()
                        && let Err(error) = ready!(inner.poll_ready(cx))
                    {
                        *rare = None;
                        return Poll::Ready(Err(failed(error, this.permit.take())));
                    }
                    match rare.take().map(|rare| *rare) {
                        Some(Rare::Waiting(mut inner, request)) => {
                            this.permit.iter_mut().for_each(|permit| permit.sent(true));
                            Stage::Calling { future: inner.call(request) }
                        }
                        Some(Rare::Refused(error)) => return Poll::Ready(Err(error)),
                        None => return Poll::Pending,
                    }
                }
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
