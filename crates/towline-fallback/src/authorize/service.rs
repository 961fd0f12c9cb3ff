//! The service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error, Target, body::TryClone};

use super::{attempt::Attempt, future::AuthorizeFuture, layer::Shared};

/// The service that [`AuthorizeLayer`](crate::AuthorizeLayer) makes.
#[derive(Clone)]
pub struct AuthorizeService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> AuthorizeService<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service within.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for AuthorizeService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + TryClone,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = AuthorizeFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let has_own = |target: &&Target| target.authorizer().is_some() || !target.keys().is_empty();
        let Some(target) = Target::of(request.extensions()).filter(has_own).cloned() else {
            return AuthorizeFuture::through(self.inner.call(request));
        };
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        AuthorizeFuture::begin(Attempt::new(ready, Arc::clone(&self.shared), target, request))
    }
}

impl<S: fmt::Debug> fmt::Debug for AuthorizeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
