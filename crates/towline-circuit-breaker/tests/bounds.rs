//! What is asked of the service beneath, and what is promised above: compiling is the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{cell::Cell, convert::Infallible, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_circuit_breaker::{CircuitBreaker, CircuitBreakerHandle, CircuitBreakerLayer, GuardedBody, ResponseFuture};
use towline_core::{BoxError, for_body};

fn is_send<T: Send>(_: &T) {}
fn is_sync<T: Sync>() {}

#[tokio::test]
async fn all_is_send_where_what_is_beneath_is() {
    async fn echo(
        request: Request<UnsyncBoxBody<Bytes, BoxError>>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError> {
        Ok(Response::new(request.into_body()))
    }
    let mut service = for_body::<UnsyncBoxBody<Bytes, BoxError>, _>(CircuitBreakerLayer::new().layer(service_fn(echo)));
    is_send(&service);
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
    let future = service.ready().await.unwrap().call(Request::new(body));
    is_send(&future);
    let response = future.await.unwrap();
    is_send(&response);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    is_sync::<(CircuitBreakerLayer, CircuitBreakerHandle, CircuitBreaker<()>)>();
}

#[tokio::test]
async fn neither_send_nor_static_nor_a_request_that_can_be_cloned_is_asked_for() {
    struct Local<'a>(&'a Rc<Cell<u32>>);
    let calls = Rc::new(Cell::new(0));
    let service = service_fn(|request: Request<Local<'_>>| {
        let calls = request.into_body().0;
        calls.set(calls.get() + 1);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let service = CircuitBreakerLayer::new().layer(service);
    service.oneshot(Request::new(Local(&calls))).await.unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn all_types_can_be_named_and_shown() {
    type Inner = tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>;
    fn shown<T: std::fmt::Debug>() {}
    shown::<(
        CircuitBreakerLayer,
        CircuitBreakerHandle,
        CircuitBreaker<()>,
        GuardedBody<Full<Bytes>>,
        ResponseFuture<Inner, Full<Bytes>>,
    )>();
    let service = CircuitBreakerLayer::default().layer(7);
    assert_eq!((*service.get_ref(), service.into_inner()), (7, 7));
}
