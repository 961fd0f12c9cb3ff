//! Bodies on their way to reqwest and back.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use parking_lot::Mutex;
use towline_core::{BoxError, Error};

use crate::error;

/// The body of a response: reqwest's own, frame by frame, with errors that tell what failed and show no URL.
pub struct ResponseBody(reqwest::Body);

/// Makes a body `Sync`, which reqwest asks for, without asking it of the caller: it is only ever polled through `&mut`.
struct SyncBody<B>(Mutex<Pin<Box<B>>>);

/// reqwest's form of a body: bytes if it is bytes, else a stream that knows its length.
pub(crate) fn into_reqwest<B>(body: B) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut body = Some(body);
    if let Some(full) = (&mut body as &mut dyn Any).downcast_mut::<Option<Full<Bytes>>>() {
        // A `Full` yields all it has in its first frame, at once.
        let frame = full.as_mut().map(|full| Pin::new(full).poll_frame(&mut Context::from_waker(std::task::Waker::noop())));
        return match frame {
            Some(Poll::Ready(Some(Ok(frame)))) => frame.into_data().unwrap_or_default().into(),
            _ => Bytes::new().into(),
        };
    }
    match body {
        Some(body) if body.is_end_stream() => Bytes::new().into(),
        Some(body) => reqwest::Body::wrap(SyncBody(Mutex::new(Box::pin(body)))),
        None => Bytes::new().into(),
    }
}

impl ResponseBody {
    pub(crate) fn new(body: reqwest::Body) -> Self {
        Self(body)
    }

    /// reqwest's own body.
    #[must_use]
    pub fn into_inner(self) -> reqwest::Body {
        self.0
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(error::of_body)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B> Body for SyncBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.get_mut().as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().size_hint()
    }
}
