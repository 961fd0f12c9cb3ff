//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use towline_core::{BoxError, Error};

use super::{ChaosBody, ChaosFuture, handle::State};

/// Injects failures into the service beneath. Made by [`ChaosLayer`](super::ChaosLayer).
#[derive(Clone, Debug)]
pub struct Chaos<S> {
    inner: S,
    state: Arc<State>,
}

impl<S> Chaos<S> {
    pub(super) const fn new(inner: S, state: Arc<State>) -> Self {
        Self { inner, state }
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

impl<S, B, R> Service<Request<B>> for Chaos<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<ChaosBody<R>>;
    type Error = Error;
    type Future = ChaosFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.state.plan(&request) {
            None => ChaosFuture::passing(self.inner.call(request)),
            Some(mut plan) => match plan.given.take() {
                Some(given) => ChaosFuture::given(given, plan.wait),
                None => ChaosFuture::planned(self.inner.call(request), plan.wait, plan.fault),
            },
        }
    }
}
