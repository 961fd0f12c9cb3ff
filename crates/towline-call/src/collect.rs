//! A body to bytes.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use pin_project_lite::pin_project;
use towline_core::{BoxError, Error, Failure, FailureKind, Origin, Scope};

/// As much of an announced length as is reserved before it comes: whoever announces much has not sent it yet.
const RESERVE: usize = 1024 * 1024;

pin_project! {
    /// Reads a body whole, unless it is, or says that it is, longer than `left`.
    pub(crate) struct Collect<B> {
        #[pin]
        body: B,
        left: usize,
        first: Bytes,
        // Only where there are several frames.
        all: BytesMut,
    }
}

impl<B> Collect<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B, max: usize) -> Self {
        Self { body, left: max, first: Bytes::new(), all: BytesMut::new() }
    }

    /// All data, without a copy if it came as one frame of `Bytes`. Trailers are dropped.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut this = self.project();
        loop {
            let announced = usize::try_from(this.body.size_hint().lower()).unwrap_or(usize::MAX);
            if announced > *this.left {
                return Poll::Ready(Err(too_large()));
            }
            if this.body.is_end_stream() {
                break;
            }
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else { break };
            let Ok(mut data) = frame.map_err(|error| broken(error.into()))?.into_data() else { continue };
            let Some(left) = this.left.checked_sub(data.remaining()) else { return Poll::Ready(Err(too_large())) };
            *this.left = left;
            let data = data.copy_to_bytes(data.remaining());
            if this.first.is_empty() && this.all.is_empty() {
                *this.first = data;
            } else {
                // `announced` was asked before this frame came, so it includes it.
                this.all.reserve(this.first.len().saturating_add(announced.clamp(data.len(), RESERVE.max(data.len()))));
                this.all.extend_from_slice(&mem::take(this.first));
                this.all.extend_from_slice(&data);
            }
        }
        let one = mem::take(this.first);
        Poll::Ready(Ok(if this.all.is_empty() { one } else { mem::take(this.all).freeze() }))
    }
}

fn too_large() -> Error {
    Error::new(Failure::new(FailureKind::PayloadTooLarge).scope(Scope::Request).origin(Origin::Caller))
}

/// A limit on the body that stands further out is told as what it is; all else is a caller who did not finish.
fn broken(error: BoxError) -> Error {
    let told = Failure::from_error(&*error);
    let failure = match told.kind {
        FailureKind::PayloadTooLarge => told,
        _ => Failure::new(FailureKind::InvalidRequest).origin(Origin::Caller),
    };
    Error::new(failure).with_source(error)
}
