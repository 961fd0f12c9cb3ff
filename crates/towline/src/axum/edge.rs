//! The layer at the edge.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use towline_core::{BoxError, Dialect, Error};

use super::{
    error::{dialect_of, error_response},
    told::told,
};

/// Makes a stack fit into an axum app. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct EdgeLayer {
    retell: bool,
}

/// The service that [`EdgeLayer`] makes.
#[derive(Clone, Debug)]
pub struct Edge<S> {
    inner: S,
    retell: bool,
}

pin_project! {
    /// The future of [`Edge`].
    #[derive(Debug)]
    pub struct ResponseFuture<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        state: State<S, Q, S::Future>,
        dialect: Option<Dialect>,
        retell: bool,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<S, Q, F> {
        Ready { inner: S, request: Option<Q> },
        Under { #[pin] future: F },
    }
}

impl EdgeLayer {
    /// A layer that hands on what providers say.
    #[must_use]
    pub const fn new() -> Self {
        Self { retell: false }
    }

    /// Whether the error with which a provider answered is told anew, as ours are: in the caller's dialect, with the status of the
    /// [module's table](super), the call's trail, and none of the provider's words. Default: no.
    ///
    /// What speaks of the caller's own request (invalid, too long or too large, against a policy, in conflict) still passes as it
    /// came, if it is JSON, since the provider's reason is of use there. Headers that begin with `x-towline-` stay in any case.
    #[must_use]
    pub const fn retell(mut self, retell: bool) -> Self {
        self.retell = retell;
        self
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, retell: self.retell }
    }
}

impl<S> Edge<S> {
    /// The service within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn begin<B>(&self, request: Request<B>) -> ResponseFuture<S, Request<B>>
    where
        S: Service<Request<B>> + Clone,
    {
        let (dialect, retell) = (dialect_of(request.uri()), self.retell);
        ResponseFuture { state: State::Ready { inner: self.inner.clone(), request: Some(request) }, dialect, retell }
    }
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S, Request<B>>;

    /// Always ready, as axum asks of a route; the stack is readied within the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.begin(request)
    }
}

/// The same, without a copy of it.
impl<S, B, R> Service<Request<B>> for &Edge<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S, Request<B>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.begin(request)
    }
}

impl<S, B, R> Future for ResponseFuture<S, Request<B>>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Ready { inner, request } => {
                    if let Err(error) = ready!(inner.poll_ready(cx)) {
                        return Poll::Ready(Ok(error_response(&Error::from(error.into()), *this.dialect)));
                    }
                    let Some(request) = request.take() else { return Poll::Pending };
                    inner.call(request)
                }
                StateProj::Under { future } => {
                    let answer = ready!(future.poll(cx));
                    return Poll::Ready(Ok(match answer {
                        Ok(response) => told(response, *this.dialect, *this.retell),
                        Err(error) => error_response(&Error::from(error.into()), *this.dialect),
                    }));
                }
            };
            this.state.set(State::Under { future });
        }
    }
}
