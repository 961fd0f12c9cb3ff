//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{ResponseFuture, TimedBody, layer::Config, watch::Watch};

/// Limits how long the service beneath may take. Made by [`TimeoutLayer`](crate::TimeoutLayer).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    /// None where there is nothing to keep.
    config: Option<Arc<Config>>,
}

impl<S> Timeout<S> {
    pub(crate) const fn new(inner: S, config: Option<Arc<Config>>) -> Self {
        Self { inner, config }
    }

    /// The service beneath.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service beneath.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service beneath, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Timeout<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(config) = &self.config else { return ResponseFuture::passing(self.inner.call(request)) };
        let watch = Watch::new(config, request.extensions());
        if watch.is_past_deadline() {
            ResponseFuture::refused(watch)
        } else {
            ResponseFuture::new(self.inner.call(request), watch)
        }
    }
}
