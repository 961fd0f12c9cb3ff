//! A body some of which was read before its reader got it.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{len, plus};

pin_project! {
    /// A body that begins with frames that were read, and held back, before; then comes the rest of it.
    ///
    /// Each frame, the trailers and the error that ended the reading arrive once and in order, whatever was held back.
    /// `size_hint` is the held bytes and the rest's own hint, hence exact if the rest's is; with an error to come it has no upper
    /// bound, so that a body cut short is never announced as a whole one. `is_end_stream` holds once nothing is to come.
    ///
    /// Nothing is allocated for a body of which nothing is held, so every response can be wrapped.
    pub struct Held<B>
    where
        B: Body,
    {
        // Never empty: it is gone once its last frame is.
        front: Option<Box<Front<B::Data, B::Error>>>,
        #[pin]
        rest: Option<B>,
    }
}

/// What comes before the rest.
struct Front<D, E> {
    frames: VecDeque<Frame<D>>,
    error: Option<E>,
}

impl<B: Body> Held<B> {
    /// `body` as it is, with nothing held back.
    #[must_use]
    pub const fn passthrough(body: B) -> Self {
        Self { front: None, rest: Some(body) }
    }

    /// `frames` in their order, then the rest of the body they were read from.
    #[must_use]
    pub fn new(frames: VecDeque<Frame<B::Data>>, rest: B) -> Self {
        Self { front: Front::new(frames, None), rest: Some(rest) }
    }

    /// `frames` in their order and nothing after them: the body was read to its end and is dropped, so that its connection is
    /// free.
    #[must_use]
    pub fn complete(frames: VecDeque<Frame<B::Data>>) -> Self {
        Self { front: Front::new(frames, None), rest: None }
    }

    /// `frames` in their order, then the error that ended the reading.
    #[must_use]
    pub fn failed(frames: VecDeque<Frame<B::Data>>, error: B::Error) -> Self {
        Self { front: Front::new(frames, Some(error)), rest: None }
    }

    /// The rest of the wrapped body, if it is still there.
    #[must_use]
    pub const fn get_ref(&self) -> Option<&B> {
        self.rest.as_ref()
    }
}

impl<B: Body> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(front) = this.front {
            let next = front.next();
            if front.is_empty() {
                *this.front = None;
            }
            return Poll::Ready(next);
        }
        match this.rest.as_pin_mut() {
            Some(rest) => rest.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        match &self.front {
            Some(front) if front.error.is_some() => plus(SizeHint::new(), front.bytes()),
            Some(front) => plus(rest, front.bytes()),
            None => rest,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl<B: Body> fmt::Debug for Held<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("frames", &self.front.as_ref().map_or(0, |front| front.frames.len()))
            .field("bytes", &self.front.as_ref().map_or(0, |front| front.bytes()))
            .field("failed", &self.front.as_ref().is_some_and(|front| front.error.is_some()))
            .field("rest", &self.rest.is_some())
            .finish()
    }
}

impl<D, E> Front<D, E> {
    fn new(frames: VecDeque<Frame<D>>, error: Option<E>) -> Option<Box<Self>> {
        let front = Self { frames, error };
        (!front.is_empty()).then(|| Box::new(front))
    }

    fn next(&mut self) -> Option<Result<Frame<D>, E>> {
        self.frames.pop_front().map(Ok).or_else(|| self.error.take().map(Err))
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.error.is_none()
    }

    fn bytes(&self) -> u64
    where
        D: bytes::Buf,
    {
        self.frames.iter().filter_map(Frame::data_ref).fold(0, |sum: u64, data| sum.saturating_add(len(data)))
    }
}
