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

use crate::{LimitedBody, reservation::Reservation, shared::Turn};

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
        stage: Stage<S, B, S::Future>,
        reservation: Option<Reservation>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, B, F> {
        Calling { #[pin] future: F },
        Rare { rare: Option<Box<Rare<S, B>>> },
    }
}

/// What few calls come to. On the heap, so that the futures of the others are no larger for it.
#[allow(clippy::large_enum_variant, reason = "it is on the heap as it is")]
enum Rare<S, B> {
    /// In line as long as there is a turn to wait for; then the service is readied.
    Waiting(Option<Turn>, S, Request<B>),
    Refused(Error),
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) const fn calling(future: S::Future, reservation: Option<Reservation>) -> Self {
        Self { stage: Stage::Calling { future }, reservation }
    }

    /// `asked` was not ready yet, and is asked again.
    pub(crate) fn readying(asked: S, request: Request<B>, reservation: Reservation) -> Self {
        Self::rare(Rare::Waiting(None, asked, request), Some(reservation))
    }

    pub(crate) fn in_line(turn: Turn, inner: S, request: Request<B>) -> Self {
        Self::rare(Rare::Waiting(Some(turn), inner, request), None)
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self::rare(Rare::Refused(error), None)
    }

    fn rare(rare: Rare<S, B>, reservation: Option<Reservation>) -> Self {
        Self { stage: Stage::Rare { rare: Some(Box::new(rare)) }, reservation }
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
            let rare = match this.stage.as_mut().project() {
                StageProj::Calling { future } => {
                    // What was never polled was never sent.
                    this.reservation.iter_mut().for_each(Reservation::sent);
                    let result = ready!(future.poll(cx)).map_err(|error| Error::from(error.into()));
                    return Poll::Ready(settle(result, this.reservation.take()));
                }
                StageProj::Rare { rare } => rare,
            };
            match rare.as_deref_mut() {
                Some(Rare::Waiting(turn, inner, _)) => {
                    if let Some(waited) = turn {
                        match ready!(waited.as_mut().poll(cx)) {
                            Ok(reservation) => (*this.reservation, *turn) = (Some(reservation), None),
                            Err(error) => {
                                *rare = None;
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                    let ready = ready!(inner.poll_ready(cx));
                    let called = rare.take();
                    if let Err(error) = ready {
                        *this.reservation = None;
                        return Poll::Ready(Err(Error::from(error.into())));
                    }
                    if let Some(Rare::Waiting(_, mut inner, request)) = called.map(|rare| *rare) {
                        this.stage.set(Stage::Calling { future: inner.call(request) });
                    }
                }
                // Who polls again after the end waits for ever.
                _ => {
                    let Some(Rare::Refused(error)) = rare.take().map(|rare| *rare) else { return Poll::Pending };
                    return Poll::Ready(Err(error));
                }
            }
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
