//! The body of a response whose cost is known when it ends.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use towline_core::body::ObserveEnd;

use crate::reservation::Reservation;

pin_project! {
    /// A response's body at whose end the request is charged what it has really cost. Frames, errors, size hint and end pass
    /// as they are.
    pub struct LimitedBody<R>
    where
        R: Body,
    {
        #[pin]
        body: ObserveEnd<R, Reservation>,
    }
}

impl<R: Body> LimitedBody<R> {
    /// A body whose end the reservation awaits; without one, nothing about it matters any more.
    pub(crate) fn new(body: R, reservation: Option<Reservation>) -> Self {
        let body = match reservation {
            Some(reservation) => ObserveEnd::new(body, reservation),
            None => ObserveEnd::passthrough(body),
        };
        Self { body }
    }

    /// The body of the service beneath.
    pub const fn get_ref(&self) -> &R {
        self.body.get_ref()
    }
}

impl<R: Body> Body for LimitedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl<R: Body> fmt::Debug for LimitedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedBody").field("settled", &self.body.is_settled()).finish_non_exhaustive()
    }
}
