//! Reading the beginning of a body without losing any of it.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};

use super::{Held, len, patience::Patience};

/// Reads a body until it ends, fails, has given more than `bytes` bytes, or has taken longer than `time`; and keeps what it read.
///
/// The frame that passes the limit is kept as well, since nothing may be lost: at most the limit and one frame lie in memory.
/// An empty frame counts as one byte. The time counts from the moment when the body first has nothing to give, and waiting needs
/// a tokio runtime with its time enabled; a body that lies in memory costs no timer.
///
/// A body that has ended or failed is dropped before the future answers, so that its connection is free.
///
/// The body must be `Unpin`, since it is handed on afterwards; `Box::pin` makes any body so.
///
/// **Cancellation:** dropping the future drops the body and what was read of it.
#[must_use = "futures do nothing unless polled"]
pub struct ReadUpTo<B> {
    body: Option<B>,
    read: Joined,
    limit: u64,
    counted: u64,
    patience: Patience,
}

/// What [`ReadUpTo`] has read: bytes to look at, then [a body](Self::into_body) to hand on.
pub struct ReadBody<B>
where
    B: Body,
{
    bytes: Bytes,
    trailers: Option<HeaderMap>,
    rest: Rest<B, B::Error>,
}

/// What follows after what was read.
enum Rest<B, E> {
    Nothing,
    Error(E),
    Body(B),
}

/// Data frames as one `Bytes`, copied only if there are several.
#[derive(Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl<B> ReadUpTo<B> {
    /// Reads up to `bytes` bytes of `body`, for at most `time`.
    pub fn new(body: B, bytes: u64, time: Duration) -> Self {
        Self { body: Some(body), read: Joined::default(), limit: bytes, counted: 0, patience: Patience::new(time) }
    }

    /// The same, where `data` of the body was read before. It counts towards the limit and comes first in what was read.
    pub fn after(mut self, data: Bytes) -> Self {
        self.counted = self.counted.saturating_add(len(&data).max(1));
        self.read.push(data);
        self
    }
}

impl<B: Body<Data = Bytes> + Unpin> Future for ReadUpTo<B> {
    type Output = ReadBody<B>;

    /// Polled again after its end, it answers with an empty body.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ReadBody<B>> {
        let this = self.get_mut();
        let mut trailers = None;
        let rest = loop {
            let Some(body) = this.body.as_mut() else { break Rest::Nothing };
            if body.is_end_stream() {
                break Rest::Nothing;
            }
            if this.counted > this.limit {
                break this.body.take().map_or(Rest::Nothing, Rest::Body);
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(None) => break Rest::Nothing,
                Poll::Ready(Some(Err(error))) => break Rest::Error(error),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        this.counted = this.counted.saturating_add(len(&data).max(1));
                        this.read.push(data);
                    }
                    Err(frame) => {
                        trailers = frame.into_trailers().ok();
                        break Rest::Nothing;
                    }
                },
                Poll::Pending => match this.patience.poll_over(cx) {
                    Poll::Ready(()) => break this.body.take().map_or(Rest::Nothing, Rest::Body),
                    Poll::Pending => return Poll::Pending,
                },
            }
        };
        this.body = None;
        Poll::Ready(ReadBody { bytes: mem::take(&mut this.read).finish(), trailers, rest })
    }
}

impl<B> fmt::Debug for ReadUpTo<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadUpTo")
            .field("limit", &self.limit)
            .field("counted", &self.counted)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> ReadBody<B> {
    /// All data that was read, as one piece. Cheap: copying it took place while reading, and only if there were several frames.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The trailers, if the body ended with some.
    #[must_use]
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// The error that ended the reading, if one did.
    #[must_use]
    pub const fn error(&self) -> Option<&B::Error> {
        match &self.rest {
            Rest::Error(error) => Some(error),
            Rest::Nothing | Rest::Body(_) => None,
        }
    }

    /// The whole body: the data that was read as one frame, then the trailers, the error or the rest.
    #[must_use]
    pub fn into_body(self) -> Held<B> {
        let data = (!self.bytes.is_empty()).then(|| Frame::data(self.bytes));
        let frames: VecDeque<_> = data.into_iter().chain(self.trailers.map(Frame::trailers)).collect();
        match self.rest {
            Rest::Nothing => Held::complete(frames),
            Rest::Error(error) => Held::failed(frames, error),
            Rest::Body(rest) => Held::new(frames, rest),
        }
    }
}

impl<B: Body> fmt::Debug for ReadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match &self.rest {
            Rest::Nothing => "nothing",
            Rest::Error(_) => "error",
            Rest::Body(_) => "body",
        };
        f.debug_struct("ReadBody")
            .field("bytes", &self.bytes.len())
            .field("trailers", &self.trailers.is_some())
            .field("rest", &rest)
            .finish()
    }
}

impl Joined {
    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
