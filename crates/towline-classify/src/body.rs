//! The body that is handed on.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::MapErr};
use pin_project_lite::pin_project;
use towline_core::{BoxError, Error, body::Held};

/// The inner body with our error, so that an error which ended the reading can be judged and handed on.
pub(crate) type Whole<R> = MapErr<R, fn(<R as Body>::Error) -> Error>;

pub(crate) fn whole<R>(body: R) -> Whole<R>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    body.map_err((|error| Error::from_body(error)) as fn(R::Error) -> Error)
}

pin_project! {
    /// The body of a classified response: what was read of it, then the rest, each frame, trailer and error once and in order.
    ///
    /// Its errors are [`Error`]s: a connection that is lost within a body is a `StreamBroken`.
    pub struct ClassifiedBody<R>
    where
        R: Body,
    {
        // Kept beside, since what is held is boxed and a JSON answer, whose first frame is looked at, costs no allocation.
        first: Option<Bytes>,
        #[pin]
        body: Held<Whole<R>>,
    }
}

impl<R: Body<Data = Bytes>> ClassifiedBody<R> {
    pub(crate) const fn passthrough(body: Whole<R>) -> Self {
        Self::held(Held::passthrough(body))
    }

    pub(crate) const fn held(body: Held<Whole<R>>) -> Self {
        Self { first: None, body }
    }

    pub(crate) const fn first(first: Bytes, rest: Whole<R>) -> Self {
        Self { first: Some(first), body: Held::passthrough(rest) }
    }
}

impl<R: Body<Data = Bytes>> Body for ClassifiedBody<R> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => this.body.poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let Some(first) = self.first.as_ref().and_then(|first| u64::try_from(first.len()).ok()) else { return rest };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(first)) {
            hint.set_upper(upper);
        }
        hint
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }
}

impl<R: Body> fmt::Debug for ClassifiedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifiedBody").finish_non_exhaustive()
    }
}
