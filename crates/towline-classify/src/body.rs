//! The body that is handed on.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::MapErr};
use pin_project_lite::pin_project;
use towline_core::{BoxError, Error, body::Held};

use crate::watch::Watch;

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
    /// The body of a classified response: what was read of it, then the rest; each frame, trailer and error once and in order.
    ///
    /// What is left out of a stream that has no told length are events which are no JSON.
    ///
    /// Its errors are [`Error`]s: a connection that is lost within a body is a `StreamBroken`. So is, unless that was turned off,
    /// the end of a stream that ends without the event which ends it.
    pub struct ClassifiedBody<R>
    where
        R: Body,
    {
        // Kept beside, since what is held is boxed and a JSON answer, whose first frame is looked at, costs no allocation.
        first: Option<Bytes>,
        #[pin]
        body: Held<Whole<R>>,
        watch: Option<Box<Watch>>,
    }
}

impl<R: Body<Data = Bytes>> ClassifiedBody<R> {
    pub(crate) const fn passthrough(body: Whole<R>) -> Self {
        Self::held(Held::passthrough(body))
    }

    pub(crate) const fn held(body: Held<Whole<R>>) -> Self {
        Self { first: None, body, watch: None }
    }

    pub(crate) const fn first(first: Bytes, rest: Whole<R>) -> Self {
        Self { first: Some(first), body: Held::passthrough(rest), watch: None }
    }

    pub(crate) fn with(mut self, watch: Watch) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }
}

impl<R: Body<Data = Bytes>> Body for ClassifiedBody<R> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            if let Some(Poll::Ready(next)) = this.watch.as_mut().map(|watch| watch.next()) {
                return Poll::Ready(next);
            }
            let polled = match this.first.take() {
                Some(first) => Some(Ok(Frame::data(first))),
                None => ready!(this.body.as_mut().poll_frame(cx)),
            };
            let Some(watch) = this.watch.as_mut() else { return Poll::Ready(polled) };
            match polled.map(|result| result.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    let data = watch.pass(data);
                    // A body whose length is known may be polled no more.
                    if this.body.is_end_stream() {
                        watch.end();
                    }
                    if let Some(data) = data {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Ok(Err(trailers))) => {
                    watch.end();
                    watch.finally(Some(Ok(trailers)));
                }
                Some(Err(error)) => {
                    watch.fail(&error);
                    watch.finally(Some(Err(error)));
                }
                None => {
                    watch.end();
                    watch.finally(None);
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        // Of a stream that may be handed on with less than came, nothing is promised.
        if self.watch.as_ref().is_some_and(|watch| watch.sifts()) {
            return SizeHint::new();
        }
        let mut hint = self.body.size_hint();
        let first = self.first.as_ref().map_or(0, |first| u64::try_from(first.len()).unwrap_or(u64::MAX));
        let upper = hint.upper().and_then(|upper| upper.checked_add(first));
        let lower = hint.lower().saturating_add(first);
        hint = SizeHint::new();
        hint.set_lower(lower);
        // A body that may yet end with an error of ours is never announced as a whole one.
        if let Some(upper) = upper.filter(|_| self.may_end()) {
            hint.set_upper(upper);
        }
        hint
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream() && self.may_end()
    }
}

impl<R: Body> ClassifiedBody<R> {
    fn may_end(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.may_end())
    }
}

impl<R: Body> fmt::Debug for ClassifiedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifiedBody").finish_non_exhaustive()
    }
}
