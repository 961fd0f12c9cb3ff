//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{AtOnce, BoxError, Error, Spare, body::TryClone, ready_at_once};

use crate::{config::Config, future::ResponseFuture, progress::Progress};

/// The service that [`FallbackLayer`](crate::FallbackLayer) makes.
#[derive(Clone)]
pub struct Fallback<S> {
    inner: S,
    spare: Spare<S>,
    config: Arc<Config>,
}

impl<S> Fallback<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self
    where
        S: Clone,
    {
        let spare = Spare::of(&inner);
        Self { inner, spare, config }
    }

    /// The service within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B, R>;

    /// Always ready: the inner service is readied within the call, so that a target that is not ready is within the call's deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (progress, request) = Progress::begin(Arc::clone(&self.config), request);
        let spare = self.spare.clone();
        match request {
            Ok(request) => match ready_at_once(&mut self.inner) {
                AtOnce::Ready => ResponseFuture::under(self.inner.call(request), progress, spare),
                AtOnce::Later(asked) => ResponseFuture::readying(asked, request, progress, spare),
                AtOnce::Failed(error) => ResponseFuture::broken(error.into(), progress, spare),
            },
            Err(error) => ResponseFuture::refused(error, progress, spare),
        }
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Fallback<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fallback").field("inner", &self.inner).field("targets", &self.config.targets.all()).finish()
    }
}
