//! The service that asks its limit first.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{AtOnce, BoxError, Error, ready_at_once};

use crate::{
    LimitedBody, ResponseFuture,
    shared::{Admission, Shared},
};

/// A service kept within a rate; made by [`RateLimitLayer`](crate::RateLimitLayer).
///
/// It is always ready, since whether a request may pass depends on the request. The inner service is readied within the call, once it is
/// the request's turn: at once if it can be, else inside the call's future. Whoever waits in line holds no connection and no permit. An
/// unlimited one is as ready as the service beneath and calls that itself.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    shared: Option<Arc<Shared>>,
}

impl<S> RateLimit<S> {
    pub(crate) const fn new(inner: S, shared: Option<Arc<Shared>>) -> Self {
        Self { inner, shared }
    }

    /// The service beneath.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service beneath, to change it.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service beneath, without its limits.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<LimitedBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.shared {
            Some(_) => Poll::Ready(Ok(())),
            None => self.inner.poll_ready(cx).map_err(|error| Error::from(error.into())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(shared) = &self.shared else { return ResponseFuture::calling(self.inner.call(request), None) };
        let (admitted, request) = match &shared.settings().key {
            None => (shared.admit(request.extensions(), None), request),
            Some(key) => {
                let (head, body) = request.into_parts();
                (shared.admit(&head.extensions, Some(key(&head).as_ref())), Request::from_parts(head, body))
            }
        };
        match admitted {
            Ok(Admission::Now(reservation)) => match ready_at_once(&mut self.inner) {
                AtOnce::Ready => ResponseFuture::calling(self.inner.call(request), Some(reservation)),
                AtOnce::Later(asked) => ResponseFuture::readying(asked, request, reservation),
                AtOnce::Failed(error) => ResponseFuture::refused(Error::from(error.into())),
            },
            Ok(Admission::Later(turn)) => ResponseFuture::in_line(turn, self.inner.clone(), request),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}
