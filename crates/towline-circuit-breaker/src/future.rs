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
use towline_core::{BoxError, Error, Outcome};

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
        Readying { inner: S, request: Option<Request<B>> },
        Calling { #[pin] future: F },
        Refused { error: Option<Error> },
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) const fn admitted(inner: S, request: Request<B>, permit: Permit) -> Self {
        Self { stage: Stage::Readying { inner, request: Some(request) }, permit: Some(permit) }
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::Readying { inner, request } => match (ready!(inner.poll_ready(cx)), request.take()) {
                    (Ok(()), Some(request)) => {
                        this.permit.iter_mut().for_each(Permit::sent);
                        Stage::Calling { future: inner.call(request) }
                    }
                    (Ok(()), None) => Stage::Refused { error: None },
                    (Err(error), _) => Stage::Refused { error: Some(failed(error, this.permit.take())) },
                },
                StageProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    let permit = this.permit.take();
                    return Poll::Ready(match result {
                        Ok(response) => Ok(guard(response, permit)),
                        Err(error) => Err(failed(error, permit)),
                    });
                }
                // Who polls again after the end waits for ever.
                StageProj::Refused { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            };
            this.stage.set(next);
        }
    }
}

/// Reports a head that says enough by itself; else its body will report.
fn guard<R: Body>(response: Response<R>, permit: Option<Permit>) -> Response<GuardedBody<R>> {
    let outcome = Outcome::of_response(&response);
    match permit {
        Some(mut permit) if outcome == Outcome::Success => {
            permit.await_body(&response);
            response.map(|body| GuardedBody::guarded(body, permit))
        }
        Some(mut permit) => {
            permit.report(&outcome);
            response.map(GuardedBody::settled)
        }
        None => response.map(GuardedBody::settled),
    }
}

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
