//! The service that asks its limit first.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{
    LimitedBody, ResponseFuture,
    shared::{KeyOf, Shared},
};

/// A service kept within a rate; made by [`RateLimitLayer`](crate::RateLimitLayer).
///
/// It is always ready, since whether a request may pass depends on the request. What passes goes to a clone of the
/// inner service, which is readied inside the call's future once it is the request's turn: whoever waits in line holds
/// no connection and no permit. An unlimited one is as ready as the service beneath and calls that itself.
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
        let Some(shared) = &self.shared else { return ResponseFuture::unlimited(self.inner.call(request)) };
        if let Some(key) = &shared.settings().key {
            return keyed(self, shared, key, request);
        }
        match shared.admit(request.extensions(), None) {
            Ok(admission) => ResponseFuture::admitted(self.inner.clone(), request, admission),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

/// A call whose limits the user's own key names.
fn keyed<S, B>(limited: &RateLimit<S>, shared: &Shared, key: &KeyOf, request: Request<B>) -> ResponseFuture<S, B>
where
    S: Service<Request<B>> + Clone,
{
    let (head, body) = request.into_parts();
    match shared.admit(&head.extensions, Some(key(&head).as_ref())) {
        Ok(admission) => ResponseFuture::admitted(limited.inner.clone(), Request::from_parts(head, body), admission),
        Err(error) => ResponseFuture::refused(error),
    }
}
