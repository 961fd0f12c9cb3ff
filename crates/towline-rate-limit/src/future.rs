//! The future of a response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error, FailureKind, Phase};

use crate::{
    limiter::Reservation,
    limits::{Admission, Turn},
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
{
    type Output = Result<Response<R>, Error>;

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
                    if let (Err(error), Some(reservation)) = (&result, this.reservation.take()) {
                        settle(error, reservation);
                    }
                    return Poll::Ready(result);
                }
                // Who polls again after the end waits for ever.
                StageProj::Refused { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            };
            this.stage.set(next);
        }
    }
}

/// Gives a charge back if the error proves that nothing was sent: no connection was made, or a layer beneath refused.
fn settle(error: &Error, reservation: Reservation) {
    use FailureKind as K;
    match error.kind() {
        K::Connect | K::Timeout(Phase::Connect) | K::CircuitOpen | K::LimitedLocally | K::Untranslatable => {
            reservation.never_sent();
        }
        _ => drop(reservation),
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("reservation", &self.reservation).finish_non_exhaustive()
    }
}
