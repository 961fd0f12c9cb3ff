//! The service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{CallFuture, CallLayer};

/// Makes calls of requests, for the service beneath. Made by [`CallLayer`].
#[derive(Clone, Debug)]
pub struct CallService<S> {
    inner: S,
    config: CallLayer,
}

impl<S> CallService<S> {
    pub(crate) const fn new(inner: S, config: CallLayer) -> Self {
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

impl<S, B, R> Service<Request<B>> for CallService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = CallFuture<S, B, S::Future>;

    /// Always ready: the service beneath is readied within the call, and within its deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CallFuture::begin(&mut self.inner, request, self.config)
    }
}
