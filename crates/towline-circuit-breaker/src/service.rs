//! The service that asks its circuit first.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{AtOnce, BoxError, Error, ready_at_once};

use crate::{GuardedBody, ResponseFuture, breaker::Breaker, line::Lane, permit::Permit};

/// A service behind circuits; made by [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
///
/// It is always ready, since whether a request may pass depends on the request. What passes has the inner service readied first: at once if
/// it can be, else inside the call's future. An open circuit waits for nobody.
#[derive(Debug)]
pub struct CircuitBreaker<S> {
    inner: S,
    breaker: Arc<Breaker>,
    /// Where it counts what has no key.
    lane: Arc<Lane>,
    /// Whether a request that brings nothing with it has no key, and no times that matter.
    plain: bool,
}

impl<S> CircuitBreaker<S> {
    pub(crate) fn new(inner: S, breaker: Arc<Breaker>) -> Self {
        let lane = breaker.next_lane();
        let plain = breaker.settings.key.is_none() && !breaker.settings.policy.times_requests();
        Self { inner, breaker, lane, plain }
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
        if self.plain
            && request.extensions().is_empty()
            && let Some(ticket) = self.lane.line().pass()
        {
            return self.start(request, Permit::new(Arc::clone(&self.lane), ticket));
        }
        self.ask(request)
    }
}

impl<S: Clone> CircuitBreaker<S> {
    /// Asks the circuit, which may be anybody's and in any state.
    fn ask<B>(&mut self, request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        S::Error: Into<BoxError>,
    {
        let (request, admitted) = match &self.breaker.settings.key {
            None => {
                let admitted = self.breaker.admit(&self.lane, request.extensions(), None);
                (request, admitted)
            }
            Some(key) => {
                let (head, body) = request.into_parts();
                let admitted = self.breaker.admit(&self.lane, &head.extensions, Some(key(&head)));
                (Request::from_parts(head, body), admitted)
            }
        };
        match admitted {
            Ok(permit) => self.start(request, permit),
            Err(error) => ResponseFuture::refused(error),
        }
    }

    /// Calls the service beneath at once if it is ready. If not, whoever polls first asks it again, and is the one who is
    /// woken.
    #[inline]
    fn start<B>(&mut self, request: Request<B>, permit: Permit) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
        S::Error: Into<BoxError>,
    {
        match ready_at_once(&mut self.inner) {
            AtOnce::Ready => ResponseFuture::calling(self.inner.call(request), permit),
            AtOnce::Later(asked) => ResponseFuture::waiting(asked, request, permit),
            AtOnce::Failed(error) => ResponseFuture::refused(permit.ended(error)),
        }
    }
}
