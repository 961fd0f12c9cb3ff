//! Waiting for the head.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use towline_core::{BoxError, Error, Failure, FailureKind};

use crate::{TimedBody, watch::Watch};

pin_project! {
    /// Waits for the head of a response, within its limits.
    ///
    /// Once it has answered, what it waited for is dropped; polled again it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // `None` where the deadline had passed before anything was sent, and after the answer.
        #[pin]
        inner: Option<F>,
        // `None` where there is nothing to keep, and after the answer.
        watch: Option<Watch>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, watch: Watch) -> Self {
        Self { inner: Some(inner), watch: Some(watch) }
    }

    pub(crate) const fn passing(inner: F) -> Self {
        Self { inner: Some(inner), watch: None }
    }

    pub(crate) const fn refused(watch: Watch) -> Self {
        Self { inner: None, watch: Some(watch) }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TimedBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A response is large: it is looked at where it lies, and moved once.
        let polled = this.inner.as_mut().as_pin_mut().map(|inner| inner.poll(cx));
        if let (Some(Poll::Ready(Ok(response))), Some(watch)) = (&polled, this.watch.as_mut()) {
            watch.saw_head(response);
        }
        let error = match polled {
            Some(Poll::Ready(Ok(response))) => {
                this.inner.set(None);
                let watch = this.watch.take();
                return Poll::Ready(Ok(response.map(|body| TimedBody::new(body, watch))));
            }
            Some(Poll::Ready(Err(error))) => Error::from(error.into()),
            Some(Poll::Pending) => {
                let Some(watch) = this.watch.as_mut() else { return Poll::Pending };
                let cut = ready!(watch.poll_head(cx));
                watch.cut_off(&cut, || this.inner.set(None))
            }
            None if this.watch.is_none() => return Poll::Pending,
            None => Error::new(Failure::new(FailureKind::DeadlineExceeded)),
        };
        this.inner.set(None);
        *this.watch = None;
        Poll::Ready(Err(error))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("answered", &self.watch.is_none()).finish_non_exhaustive()
    }
}
