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
use towline_core::{AtOnce, BoxError, Dialect, Error, ready_at_once};

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
        Under { #[pin] future: F },
        Rare { rare: Option<Box<Rare<S, Q>>> },
    }
}

/// What few calls come to. On the heap, so that the futures of the others are no larger for it.
#[derive(Debug)]
enum Rare<S, Q> {
    Readying(S, Q),
    Failed(Error),
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

    fn begin<B>(service: &mut S, request: Request<B>, retell: bool) -> ResponseFuture<S, Request<B>>
    where
        S: Service<Request<B>> + Clone,
        S::Error: Into<BoxError>,
    {
        let dialect = dialect_of(request.uri());
        let rare = match ready_at_once(service) {
            AtOnce::Ready => return ResponseFuture { state: State::Under { future: service.call(request) }, dialect, retell },
            AtOnce::Later(asked) => Rare::Readying(asked, request),
            AtOnce::Failed(error) => Rare::Failed(Error::from(error.into())),
        };
        ResponseFuture { state: State::Rare { rare: Some(Box::new(rare)) }, dialect, retell }
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
        Self::begin(&mut self.inner, request, self.retell)
    }
}

/// The same, for whoever holds only a reference.
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
        Edge::begin(&mut self.inner.clone(), request, self.retell)
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
            let rare = match this.state.as_mut().project() {
                StateProj::Under { future } => {
                    let answer = ready!(future.poll(cx));
                    return Poll::Ready(Ok(match answer {
                        Ok(response) => told(response, *this.dialect, *this.retell),
                        Err(error) => error_response(&Error::from(error.into()), *this.dialect),
                    }));
                }
                StateProj::Rare { rare } => rare,
            };
            let ready = match rare.as_deref_mut() {
                Some(Rare::Readying(service, _)) => ready!(service.poll_ready(cx)),
                _ => Ok(()),
            };
            let error = match (rare.take().map(|rare| *rare), ready) {
                (Some(Rare::Readying(mut service, request)), Ok(())) => {
                    this.state.set(State::Under { future: service.call(request) });
                    continue;
                }
                (Some(Rare::Readying(..)), Err(error)) => Error::from(error.into()),
                (Some(Rare::Failed(error)), _) => error,
                // Polled again after its end, it stays pending.
                (None, _) => return Poll::Pending,
            };
            return Poll::Ready(Ok(error_response(&error, *this.dialect)));
        }
    }
}
