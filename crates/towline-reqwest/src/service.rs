//! The adapter.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error, Failure, FailureKind, InvalidConfig, Origin};

use crate::{ResponseBody, body, error};

/// `reqwest::Client`, or layers over it, as a `Service<http::Request<B>>`.
#[derive(Clone, Debug)]
pub struct Reqwest<S = reqwest::Client> {
    inner: S,
}

pin_project! {
    /// The future of [`Reqwest`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Refused { error: Option<Error> },
        Sent { #[pin] future: F },
    }
}

impl Reqwest {
    /// A client from `builder`, with redirects and reqwest's own retries turned off.
    ///
    /// # Errors
    ///
    /// `builder` if reqwest cannot build a client from it, for instance without a TLS backend that it was told to use.
    pub fn from_builder(builder: reqwest::ClientBuilder) -> Result<Self, InvalidConfig> {
        let builder = builder.redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never());
        let client = builder
            .build()
            .map_err(|error| InvalidConfig::new("builder", format!("cannot build a client: {}", error.without_url())))?;
        Ok(Self { inner: client })
    }
}

impl<S> Reqwest<S> {
    /// Adapts a client that is there already, or any service of `reqwest::Request`.
    ///
    /// A `reqwest::Client` follows redirects unless told otherwise, and then takes `x-api-key` to the other host: see [`from_builder`](Reqwest::from_builder).
    pub const fn wrap(inner: S) -> Self {
        Self { inner }
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

impl<S, B> Service<Request<B>> for Reqwest<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|e| error::of_head(e.into()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match convert(request) {
            Ok(request) => State::Sent { future: self.inner.call(request) },
            Err(error) => State::Refused { error: Some(error) },
        };
        ResponseFuture { state }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<reqwest::Response, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                // Polled again after it was done: there is nothing more to say.
                None => Poll::Pending,
            },
            StateProj::Sent { future } => future
                .poll(cx)
                .map_ok(|response| Response::<reqwest::Body>::from(response).map(ResponseBody::new))
                .map_err(|e| error::of_head(e.into())),
        }
    }
}

fn convert<B>(request: Request<B>) -> Result<reqwest::Request, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mistake = || Error::new(Failure::new(FailureKind::InvalidRequest).origin(Origin::Caller));
    if request.uri().scheme().is_none() || request.uri().authority().is_none() {
        return Err(mistake().with_source(error::RelativeUri));
    }
    reqwest::Request::try_from(request.map(body::into_reqwest)).map_err(|e| mistake().with_source(e.without_url()))
}
