//! The service that asks its circuit first.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{GuardedBody, ResponseFuture, breaker::Breaker};

/// A service behind circuits; made by [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
///
/// It is always ready, since whether a request may pass depends on the request. What passes goes to a clone of the inner
/// service, which is readied first, inside the call's future: an open circuit waits for nobody.
#[derive(Clone, Debug)]
pub struct CircuitBreaker<S> {
    inner: S,
    breaker: Arc<Breaker>,
}

impl<S> CircuitBreaker<S> {
    pub(crate) const fn new(inner: S, breaker: Arc<Breaker>) -> Self {
        Self { inner, breaker }
    }

    /// The service beneath.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service beneath, to change it.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service beneath, without its circuits.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for CircuitBreaker<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<GuardedBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.breaker.admit(request.extensions()) {
            Ok(permit) => ResponseFuture::admitted(self.inner.clone(), request, permit),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}
