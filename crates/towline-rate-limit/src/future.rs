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

use crate::{
    LimitedBody,
    reservation::Reservation,
    shared::{Admission, Turn},
};

pin_project! {
    /// The response of a [`RateLimit`](crate::RateLimit).
    ///
    /// Dropped in line it frees its place; dropped before the request was sent it gives back what the request was
    /// charged.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        stage: Stage<S::Future>,
        // Until they meet in a call.
        waiting: Option<(S, Request<B>)>,
        reservation: Option<Reservation>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        InLine { turn: Turn },
        Readying,
        Calling { #[pin] future: F },
        Refused { error: Option<Error> },
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) fn admitted(inner: S, request: Request<B>, admission: Admission) -> Self {
        let (stage, reservation) = match admission {
            Admission::Now(reservation) => (Stage::Readying, Some(reservation)),
            Admission::Later(turn) => (Stage::InLine { turn }, None),
        };
        Self { stage, waiting: Some((inner, request)), reservation }
    }

    pub(crate) const fn refused(error: Error) -> Self {
        Self { stage: Stage::Refused { error: Some(error) }, waiting: None, reservation: None }
    }

    pub(crate) const fn unlimited(future: S::Future) -> Self {
        Self { stage: Stage::Calling { future }, waiting: None, reservation: None }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<LimitedBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::InLine { turn } => match ready!(turn.as_mut().poll(cx)) {
                    Ok(reservation) => {
                        *this.reservation = Some(reservation);
                        Stage::Readying
                    }
                    Err(error) => {
                        *this.waiting = None;
                        Stage::Refused { error: Some(error) }
                    }
                },
                StageProj::Readying => {
                    let Some((inner, _)) = this.waiting else { return Poll::Pending };
                    let ready = ready!(inner.poll_ready(cx));
                    let called = this.waiting.take();
                    if let Err(error) = ready {
                        *this.reservation = None;
                        return Poll::Ready(Err(Error::from(error.into())));
                    }
                    let Some((mut inner, request)) = called else { return Poll::Pending };
                    this.reservation.iter_mut().for_each(Reservation::sent);
                    Stage::Calling { future: inner.call(request) }
                }
                StageProj::Calling { future } => {
                    let result = ready!(future.poll(cx)).map_err(|error| Error::from(error.into()));
                    return Poll::Ready(settle(result, this.reservation.take()));
                }
                // Who polls again after the end waits for ever.
                StageProj::Refused { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            };
            this.stage.set(next);
        }
    }
}

/// Hands the reservation on to the body, if the end of that says more.
fn settle<R: Body>(
    result: Result<Response<R>, Error>,
    reservation: Option<Reservation>,
) -> Result<Response<LimitedBody<R>>, Error> {
    match result {
        Ok(response) => {
            let awaited = reservation.and_then(|reservation| reservation.answered(&response));
            Ok(response.map(|body| LimitedBody::new(body, awaited)))
        }
        Err(error) => {
            if let Some(reservation) = reservation {
                reservation.failed(&error);
            }
            Err(error)
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("reservation", &self.reservation).finish_non_exhaustive()
    }
}
