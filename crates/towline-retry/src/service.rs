//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error, KeptRequest, Spare, Target, body::TryClone};

use crate::{future::ResponseFuture, layer::Shared, progress::Progress};

/// A service that sends what failed again. Made by [`RetryLayer`](crate::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    spare: Spare<S>,
    shared: Arc<Shared>,
}

/// What a further attempt is made from.
pub(crate) struct Again<S, B> {
    pub(crate) spare: Spare<S>,
    pub(crate) kept: KeptRequest<B>,
}

impl<S> Retry<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self
    where
        S: Clone,
    {
        let spare = Spare::of(&inner);
        Self { inner, spare, shared }
    }

    /// The service beneath.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service beneath, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: TryClone,
    R: Body,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ResponseFuture<S, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let progress = Progress::new(Arc::clone(&self.shared), request.extensions());
        let own = Target::of(request.extensions()).and_then(Target::attempts);
        let kept = if self.shared.policy.may_retry(own) { KeptRequest::keep(&request) } else { None };
        let again = kept.map(|kept| Again { spare: self.spare.clone(), kept });
        ResponseFuture::new(self.inner.call(request), again, progress)
    }
}
