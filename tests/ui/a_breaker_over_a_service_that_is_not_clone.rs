//! The breaker readies a clone of what is beneath, within the call.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};
use towline::BoxError;
use towline_tests::Body;

struct Client;

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::new(Body::default())))
    }
}

fn main() {
    towline::for_body::<Body, _>(towline::CircuitBreakerLayer::new().layer(Client));
}
