//! Whether a request body can be sent again.

use http_body_util::{Either, Empty, Full};

/// A value that may be able to make a copy of itself: here, a request body that may be able to be sent again.
///
/// The answer belongs to the value, not to the type. A body that answers `None` is sent once; that is never an error.
///
/// Take the copy before the body is read: `Full`, `Empty` and `String` copy what is left of them, so that a copy of one that
/// was sent is empty. A copy of a [`ReplayBody`](super::ReplayBody) starts at the beginning in any case.
///
/// ```
/// use http_body_util::Full;
/// use towline_core::body::{ReplayBody, TryClone};
///
/// let full = Full::new(&b"again and again"[..]);
/// assert!(full.try_clone().is_some());
/// assert!(ReplayBody::once(full).try_clone().is_none());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to be replayable",
    label = "a request body that may be sent again must say how: it must implement `TryClone`",
    note = "wrap the body in `towline_core::body::ReplayBody::once(..)` to send it once",
    note = "or put `CallLayer` above this layer, so that the body becomes `Full<Bytes>`"
)]
pub trait TryClone: Sized {
    /// A copy of this value, or `None` if there cannot be one.
    #[must_use]
    fn try_clone(&self) -> Option<Self>;
}

impl<D: Clone> TryClone for Full<D> {
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<D> TryClone for Empty<D> {
    fn try_clone(&self) -> Option<Self> {
        Some(*self)
    }
}

impl TryClone for String {
    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<L: TryClone, R: TryClone> TryClone for Either<L, R> {
    fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Left(left) => left.try_clone().map(Self::Left),
            Self::Right(right) => right.try_clone().map(Self::Right),
        }
    }
}
