//! Waiting for the body.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use towline_core::{BoxError, Error, Failure, FailureKind};

use super::injection::{BodyFault, Then};

pin_project! {
    /// A response's body: the real one, with or without a fault to come, or an injected one.
    ///
    /// After its end it stays ended, and the body beneath is dropped at once. It is `Unpin` if the body beneath is.
    pub struct ChaosBody<B> {
        // Gone once it has ended.
        #[pin]
        inner: Option<B>,
        // What was injected, or what was read and stands behind a stall.
        next: Option<Frame<Bytes>>,
        // How many bytes may pass before the fault.
        left: u64,
        fault: Option<Then>,
        stall: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> ChaosBody<B> {
    pub(super) fn new(inner: B, fault: Option<BodyFault>) -> Self {
        let left = fault.map_or(0, |fault| fault.after);
        Self { inner: Some(inner), next: None, left, fault: fault.map(|fault| fault.then), stall: None }
    }

    pub(super) fn given(body: Bytes) -> Self {
        let next = (!body.is_empty()).then(|| Frame::data(body));
        Self { inner: None, next, left: 0, fault: None, stall: None }
    }
}

impl<B> Body for ChaosBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            if let Some(stall) = this.stall {
                ready!(stall.as_mut().poll(cx));
                *this.stall = None;
            }
            if *this.left == 0
                && let Some(fault) = this.fault.take()
            {
                if let Then::Stall(wait) = fault {
                    *this.stall = Some(Box::pin(sleep(wait)));
                    continue;
                }
                this.inner.set(None);
                *this.next = None;
                return Poll::Ready((fault == Then::Break).then(|| Err(broken())));
            }
            if let Some(frame) = this.next.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
            match ready!(inner.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                    if this.fault.is_none() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    let (before, behind) = split(frame, *this.left);
                    *this.left = if behind.is_some() { 0 } else { this.left.saturating_sub(length(before.as_ref())) };
                    *this.next = behind;
                    if let Some(before) = before {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Some(Err(error)) => {
                    this.inner.set(None);
                    *this.fault = None;
                    return Poll::Ready(Some(Err(Error::from_body(error))));
                }
                None => {
                    this.inner.set(None);
                    *this.left = 0;
                    if this.fault.is_none() {
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        if matches!(self.fault, Some(Then::Break | Then::End)) {
            hint.set_upper(inner.upper().map_or(self.left, |upper| upper.min(self.left)));
        } else {
            let kept = length(self.next.as_ref());
            hint.set_lower(inner.lower().saturating_add(kept));
            if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(kept)) {
                hint.set_upper(upper);
            }
        }
        hint
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.next.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream);
        match self.fault {
            None => ended && self.stall.is_none(),
            Some(Then::End) => ended || self.left == 0,
            Some(Then::Break | Then::Stall(_)) => false,
        }
    }
}

impl<B> fmt::Debug for ChaosBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosBody").field("fault", &self.fault).field("left", &self.left).finish_non_exhaustive()
    }
}

/// What of a frame comes before a fault that is `left` bytes away, and what behind it. Trailers are the end of a body.
fn split(frame: Frame<Bytes>, left: u64) -> (Option<Frame<Bytes>>, Option<Frame<Bytes>>) {
    match frame.into_data() {
        Ok(mut data) => match usize::try_from(left) {
            Ok(left) if left < data.len() => {
                let before = data.split_to(left);
                ((!before.is_empty()).then(|| Frame::data(before)), Some(Frame::data(data)))
            }
            _ => (Some(Frame::data(data)), None),
        },
        Err(trailers) => (None, Some(trailers)),
    }
}

fn length(frame: Option<&Frame<Bytes>>) -> u64 {
    frame.and_then(Frame::data_ref).map_or(0, |data| data.len() as u64)
}

fn broken() -> Error {
    let source = io::Error::new(io::ErrorKind::UnexpectedEof, "cut by a chaos layer");
    Error::new(Failure::new(FailureKind::StreamBroken)).with_source(source)
}
