//! Telling how a body ended, exactly once.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body that tells its observer how it ended: exactly once, by whichever of these comes first.
    ///
    /// | what happens | what is told |
    /// |---|---|
    /// | the body is wrapped and has no content (`is_end_stream`, as with 204 or HEAD) | `Complete`, from [`new`](Self::new) |
    /// | `None` is read | `Complete` |
    /// | trailers are read | `Complete`, before they are handed on |
    /// | a frame is read after which `is_end_stream` holds | `Complete`, before the frame is handed on |
    /// | an error is read | `Failed`, before it is handed on |
    /// | the body is dropped with nothing left to come (its size hint is exactly zero) | `Complete` |
    /// | the body is dropped | `Dropped` |
    ///
    /// The first, fourth and sixth are there because hyper polls no body that has no content, and none again whose
    /// `content-length` is satisfied.
    ///
    /// Everything is forwarded as it is; nothing is allocated.
    pub struct ObserveEnd<B, H>
    where
        B: Body,
        H: OnEnd<B::Error>, // On the struct, against our custom, since the impl of `Drop` asks for it.
    {
        #[pin]
        body: B,
        observer: Option<H>,
    }

    impl<B, H> PinnedDrop for ObserveEnd<B, H>
    where
        B: Body,
        H: OnEnd<B::Error>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(observer) = this.observer.take() {
                let nothing_left = this.body.size_hint().exact() == Some(0);
                observer.end(if nothing_left { End::Complete } else { End::Dropped });
            }
        }
    }
}

/// How a body ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End<'a, E> {
    /// It was read to its end.
    Complete,
    /// It failed with this error, which its reader gets next.
    Failed(&'a E),
    /// Its reader dropped it before its end.
    Dropped,
}

/// What wants to know how a body ended. A closure `FnOnce(End<'_, E>)` will do.
///
/// Both methods are called while the body is polled or dropped: they must be quick and must not panic.
pub trait OnEnd<E> {
    /// The body has ended. Called once, by value.
    fn end(self, end: End<'_, E>);

    /// A frame with `bytes` bytes of data passes. Called before [`end`](Self::end), if that frame is the last.
    fn data(&mut self, bytes: usize) {
        let _ = bytes;
    }
}

impl<B: Body, H: OnEnd<B::Error>> ObserveEnd<B, H> {
    /// Wraps `body`. If it has no content, its end is told here and now.
    #[must_use]
    pub fn new(body: B, observer: H) -> Self {
        if body.is_end_stream() {
            observer.end(End::Complete);
            return Self::passthrough(body);
        }
        Self { body, observer: Some(observer) }
    }

    /// Wraps `body` with nobody listening.
    #[must_use]
    pub const fn passthrough(body: B) -> Self {
        Self { body, observer: None }
    }

    /// The wrapped body.
    pub const fn get_ref(&self) -> &B {
        &self.body
    }

    /// Whether the end has been told, or nobody listens.
    pub const fn is_settled(&self) -> bool {
        self.observer.is_none()
    }
}

impl<B: Body, H: OnEnd<B::Error>> Body for ObserveEnd<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        // Nothing to tell any more, or not yet.
        let (Some(observer), Poll::Ready(frame)) = (this.observer.as_mut(), &polled) else { return polled };
        let end = match frame {
            None => End::Complete,
            Some(Err(error)) => End::Failed(error),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    observer.data(data.remaining());
                }
                if !frame.is_trailers() && !this.body.is_end_stream() {
                    return polled;
                }
                End::Complete
            }
        };
        if let Some(observer) = this.observer.take() {
            observer.end(end);
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

impl<B: Body, H: OnEnd<B::Error>> fmt::Debug for ObserveEnd<B, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveEnd").field("settled", &self.is_settled()).finish_non_exhaustive()
    }
}

impl<E, F: FnOnce(End<'_, E>)> OnEnd<E> for F {
    fn end(self, end: End<'_, E>) {
        self(end);
    }
}
