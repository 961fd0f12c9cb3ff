//! Services and bodies that more than one test file uses.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    future::{Ready, pending},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use towline_core::BoxError;

pub(crate) type Sent = Request<Full<Bytes>>;

/// Answers with the body and the headers that it got.
pub(crate) async fn echo(request: Sent) -> Result<Response<Full<Bytes>>, BoxError> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(body);
    *response.headers_mut() = parts.headers;
    Ok(response)
}

pub(crate) async fn never(_: Sent) -> Result<Response<()>, BoxError> {
    pending().await
}

pub(crate) fn must_not_be_called(_: Sent) -> Ready<Result<Response<()>, BoxError>> {
    panic!("it was sent")
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn chat<B>(body: B) -> Request<B> {
    Request::post("http://host/v1/chat/completions").body(body).unwrap()
}

pub(crate) fn full(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

/// These frames, then this end; it announces at least `announced` bytes in all.
pub(crate) struct Frames {
    frames: Vec<Bytes>,
    end: Option<io::Error>,
    announced: u64,
}

impl Frames {
    pub(crate) fn new<T: Into<Bytes>>(frames: impl IntoIterator<Item = T>) -> Self {
        let mut frames: Vec<_> = frames.into_iter().map(Into::into).collect();
        frames.reverse();
        Self { frames, end: None, announced: 0 }
    }

    pub(crate) fn failing(mut self, end: io::Error) -> Self {
        self.end = Some(end);
        self
    }

    pub(crate) fn announcing(mut self, bytes: u64) -> Self {
        self.announced = bytes;
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(data) = self.frames.pop() else { return Poll::Ready(self.end.take().map(Err)) };
        self.announced = self.announced.saturating_sub(data.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

/// Gives nothing, and says how much it would.
pub(crate) struct Silent(pub(crate) u64);

impl Body for Silent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}
