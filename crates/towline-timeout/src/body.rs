//! Waiting for the body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use towline_core::{BoxError, Error};

use crate::watch::Watch;

pin_project! {
    /// A response's body, within its limits.
    ///
    /// Its error is [`Error`]: a limit that passed, or what the body beneath failed with. After its end, its failure or a limit it
    /// stays ended, and the body beneath is dropped at once.
    ///
    /// It is `Unpin` if the body beneath is. A reader that polls it no more is not cut off: whoever holds it lets go by dropping it.
    pub struct TimedBody<B> {
        // Gone once it has ended.
        #[pin]
        body: Option<B>,
        // None where there is nothing to keep.
        watch: Option<Watch>,
    }
}

impl<B> TimedBody<B> {
    pub(crate) const fn new(body: B, watch: Option<Watch>) -> Self {
        Self { body: Some(body), watch }
    }

    /// The body beneath, until it has ended.
    #[must_use]
    pub const fn get_ref(&self) -> Option<&B> {
        self.body.as_ref()
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let end = match body.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                this.watch.iter_mut().for_each(|watch| watch.saw_frame(bytes));
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => Some(Err(Error::from_body(error))),
            Poll::Ready(None) => None,
            Poll::Pending => {
                let Some(watch) = this.watch.as_mut() else { return Poll::Pending };
                let cut = ready!(watch.poll_body(cx));
                Some(Err(watch.cut_off(&cut, || this.body.set(None))))
            }
        };
        this.body.set(None);
        *this.watch = None;
        Poll::Ready(end)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl<B> fmt::Debug for TimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody").field("ended", &self.body.is_none()).finish_non_exhaustive()
    }
}
