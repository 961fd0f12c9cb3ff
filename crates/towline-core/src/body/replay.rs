//! A request body that may be sent again.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::{TryClone, len, tee::Tee};
use crate::BoxError;

/// A request body that may be sent again: in full, never, or as far as it was recorded.
///
/// | made by | sent again | costs |
/// |---|---|---|
/// | [`full`](Self::full) | always, also while another copy is being sent | a reference count for each copy |
/// | [`once`](Self::once) | never: `try_clone` answers `None` | nothing |
/// | [`tee`](Self::tee) | until more than its cap has passed, by one reader at a time | memory up to the cap, a short lock for each frame |
///
/// Prefer `full`: a request to a model is one JSON document, which fits. A copy made by `try_clone` starts at the beginning,
/// wherever the original stands.
///
/// `B` is the body inside of `once` and `tee`; it must yield `Bytes` and be `Unpin`, which `Box::pin` makes of any body. `B` need
/// not be `Sync`. The error is a [`BoxError`]: the inner body's own, or, of a tee,
/// [`ReplayInUse`](super::ReplayInUse) or [`ReplayLost`](super::ReplayLost).
pub struct ReplayBody<B = Full<Bytes>> {
    kind: Kind<B>,
}

enum Kind<B> {
    Full { bytes: Bytes, sent: bool },
    Once(B),
    Tee(Tee<B>),
}

impl<B> ReplayBody<B> {
    /// A body that lies in memory and may be sent any number of times.
    #[must_use]
    pub const fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full { bytes, sent: false } }
    }

    /// A body that is sent once.
    #[must_use]
    pub const fn once(inner: B) -> Self {
        Self { kind: Kind::Once(inner) }
    }
}

impl<B: Body> ReplayBody<B> {
    /// A body that is recorded while it is sent, up to `cap` bytes of data, so that it may be sent again. (Each frame
    /// recorded costs some hundred bytes beside its data.)
    ///
    /// Meant for uploads that stream. Its rules:
    ///
    /// - A body whose size hint promises more than `cap` is as good as [`once`](Self::once), and nothing is recorded. One that
    ///   turns out to be longer goes on to its end, the recording is freed, and `try_clone` answers `None` from then on.
    /// - One copy reads at a time. When it is dropped, finished or not, the next one replays what was recorded and goes on where
    ///   it stopped. A copy that is read while another one is under way gets [`ReplayInUse`](super::ReplayInUse) and ends; a body
    ///   that was recorded to its end has no such limit.
    /// - An error of the inner body is final: its reader gets it, `try_clone` answers `None`, and copies made before get
    ///   [`ReplayLost`](super::ReplayLost), as do those of a body that outgrew its cap.
    /// - Trailers are recorded; empty frames are passed on, not recorded.
    #[must_use]
    pub fn tee(inner: B, cap: usize) -> Self {
        let cap = u64::try_from(cap).unwrap_or(u64::MAX);
        if inner.size_hint().lower() > cap { Self::once(inner) } else { Self { kind: Kind::Tee(Tee::new(inner, cap)) } }
    }
}

impl<B> From<Bytes> for ReplayBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl<B> TryClone for ReplayBody<B> {
    fn try_clone(&self) -> Option<Self> {
        match &self.kind {
            Kind::Full { bytes, .. } => Some(Self::full(bytes.clone())),
            Kind::Once(_) => None,
            Kind::Tee(tee) => Some(Self { kind: Kind::Tee(tee.try_clone()?) }),
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().kind {
            Kind::Full { bytes, sent } if *sent || bytes.is_empty() => Poll::Ready(None),
            Kind::Full { bytes, sent } => {
                *sent = true;
                Poll::Ready(Some(Ok(Frame::data(bytes.clone()))))
            }
            Kind::Once(inner) => Pin::new(inner).poll_frame(cx).map_err(Into::into),
            Kind::Tee(tee) => tee.poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { sent: true, .. } => SizeHint::with_exact(0),
            Kind::Full { bytes, .. } => SizeHint::with_exact(len(bytes)),
            Kind::Once(inner) => inner.size_hint(),
            Kind::Tee(tee) => tee.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { bytes, sent } => *sent || bytes.is_empty(),
            Kind::Once(inner) => inner.is_end_stream(),
            Kind::Tee(tee) => tee.is_end_stream(),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Full { bytes, sent } => {
                f.debug_struct("ReplayBody::Full").field("bytes", &bytes.len()).field("sent", sent).finish()
            }
            Kind::Once(_) => f.debug_struct("ReplayBody::Once").finish_non_exhaustive(),
            Kind::Tee(tee) => tee.fmt(f),
        }
    }
}
