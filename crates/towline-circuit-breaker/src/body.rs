//! The body of a response whose outcome is known when it ends.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use towline_core::body::ObserveEnd;

use crate::permit::Permit;

pin_project! {
    /// A response's body that tells the circuit how it ended. Frames, errors, size hint and end pass as they are.
    pub struct GuardedBody<R>
    where
        R: Body,
    {
        #[pin]
        body: ObserveEnd<R, Permit>,
    }
}

impl<R: Body> GuardedBody<R> {
    /// A body whose end the permit awaits; without one, its circuit has been told already.
    #[inline]
    pub(crate) fn new(body: R, permit: Option<Permit>) -> Self {
        let body = match permit {
            Some(permit) if !permit.is_settled() => ObserveEnd::new(body, permit),
            _ => ObserveEnd::passthrough(body),
        };
        Self { body }
    }

    /// The body of the service beneath.
    pub const fn get_ref(&self) -> &R {
        self.body.get_ref()
    }
}

impl<R: Body> Body for GuardedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    #[inline]
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

impl<R: Body> fmt::Debug for GuardedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").field("settled", &self.body.is_settled()).finish_non_exhaustive()
    }
}
