//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use towline_core::{BoxError, Error};

use crate::{ClassifiedBody, ResponseFuture, layer::Config, plan::Asked};

/// The service that [`ClassifyLayer`](crate::ClassifyLayer) makes.
#[derive(Clone, Debug)]
pub struct Classify<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Classify<S> {
    pub(crate) const fn new(inner: S, config: Arc<Config>) -> Self {
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

    /// The service beneath.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Classify<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<ClassifiedBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = Asked::of(&request, &self.config.observer);
        ResponseFuture::new(self.inner.call(request), Arc::clone(&self.config), asked)
    }
}
