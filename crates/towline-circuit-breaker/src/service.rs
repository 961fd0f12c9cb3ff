//! The service that asks its circuit first.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{GuardedBody, ResponseFuture, breaker::Breaker, permit::Permit, policy::KeyOf};

/// A service behind circuits; made by [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
///
/// It is always ready, since whether a request may pass depends on the request. What passes goes to a clone of the inner
/// service, which is readied first: at once if it can be, else inside the call's future. An open circuit waits for nobody.
#[derive(Debug)]
pub struct CircuitBreaker<S> {
    inner: S,
    breaker: Arc<Breaker>,
    lane: usize,
}

impl<S> CircuitBreaker<S> {
    pub(crate) fn new(inner: S, breaker: Arc<Breaker>) -> Self {
        let lane = breaker.next_lane();
        Self { inner, breaker, lane }
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

impl<S: Clone> Clone for CircuitBreaker<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.breaker))
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

    #[inline]
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(key) = &self.breaker.settings.key {
            return self.call_keyed(key, request);
        }
        let permit = match self.breaker.admit(self.lane, request.extensions(), None) {
            Ok(permit) => permit,
            Err(error) => return ResponseFuture::refused(error),
        };
        // As in `start`, word for word: by way of it, the request, which is large, would be moved once more.
        let mut inner = self.inner.clone();
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => ResponseFuture::calling(inner.call(request), permit),
            Poll::Ready(Err(error)) => ResponseFuture::refused(permit.ended(error)),
            Poll::Pending => ResponseFuture::waiting(inner, request, permit),
        }
    }
}

impl<S: Clone> CircuitBreaker<S> {
    /// A call whose circuit the user's own key names.
    fn call_keyed<B>(&self, key: &KeyOf, request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        S::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        match self.breaker.admit(self.lane, &head.extensions, Some(key(&head))) {
            Ok(permit) => self.start(Request::from_parts(head, body), permit),
            Err(error) => ResponseFuture::refused(error),
        }
    }

    /// Calls the service beneath at once if it is ready. If not, whoever polls first asks it again, and is the one who is
    /// woken.
    fn start<B>(&self, request: Request<B>, permit: Permit) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        S::Error: Into<BoxError>,
    {
        let mut inner = self.inner.clone();
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => ResponseFuture::calling(inner.call(request), permit),
            Poll::Ready(Err(error)) => ResponseFuture::refused(permit.ended(error)),
            Poll::Pending => ResponseFuture::waiting(inner, request, permit),
        }
    }
}
