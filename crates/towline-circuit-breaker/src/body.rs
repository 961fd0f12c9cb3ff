//! The body of a response whose outcome is known when it ends.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::permit::Permit;

pin_project! {
    /// A response's body that tells the circuit how it ended. Frames, errors, size hint and end pass as they are.
    ///
    /// It ends as [`ObserveEnd`](towline_core::body::ObserveEnd) says. It is not one, since it must be small enough to be inlined, and a permit that has
    /// settled may lie where it is.
    pub struct GuardedBody<R>
    where
        R: Body, // On the struct, against our custom, since the impl of `Drop` asks for it.
    {
        #[pin]
        body: R,
        permit: Option<Permit>,
    }

    impl<R: Body> PinnedDrop for GuardedBody<R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(permit) = this.permit
                && !permit.is_settled()
                && this.body.size_hint().exact() == Some(0)
            {
                permit.complete();
            }
        }
    }
}

impl<R: Body> GuardedBody<R> {
    /// A body whose end the permit awaits, unless it has settled.
    #[inline]
    pub(crate) const fn new(body: R, permit: Option<Permit>) -> Self {
        Self { body, permit }
    }

    /// The body of the service beneath.
    pub const fn get_ref(&self) -> &R {
        &self.body
    }
}

impl<R: Body> Body for GuardedBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        let Some(permit) = this.permit.as_mut().filter(|permit| !permit.is_settled()) else { return polled };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => permit.complete(),
            Poll::Ready(Some(Err(_))) => permit.broke(),
            Poll::Ready(Some(Ok(frame))) => {
                if permit.awaits_content() {
                    permit.look_for_content(frame.data_ref());
                }
                if frame.is_trailers() || this.body.is_end_stream() {
                    permit.complete();
                }
            }
        }
        polled
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
        f.debug_struct("GuardedBody").field("permit", &self.permit).finish_non_exhaustive()
    }
}
