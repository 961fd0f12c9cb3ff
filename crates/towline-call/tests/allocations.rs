//! What a call costs, counted.

mod common;

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use common::*;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use towline_call::CallLayer;
use towline_core::BoxError;

/// How many allocations it takes to call the bare service, and to call it through the layer.
fn allocations(request: impl Fn() -> Request<Full<bytes::Bytes>>) -> (u64, u64) {
    fn run<S: Service<Request<Full<bytes::Bytes>>>>(mut service: S, request: Request<Full<bytes::Bytes>>) -> u64 {
        let counted = allocation_counter::measure(|| {
            let polled = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Ok(_))));
        });
        counted.count_total
    }
    let bare = service_fn(|_: Sent| ready(Ok::<_, BoxError>(Response::new(()))));
    (run(bare, request()), run(CallLayer::new().layer(bare), request()))
}

/// As a client sends it: with a few headers.
fn usual(body: &'static str) -> Request<Full<bytes::Bytes>> {
    let mut request = chat(full(body));
    for name in ["host", "content-type", "authorization"] {
        request.headers_mut().insert(name, http::HeaderValue::from_static("value"));
    }
    request
}

#[test]
fn a_call_costs_its_handle_a_place_for_its_body_and_one_in_the_extensions_of_request_and_response() {
    // One for the handle; one for the body while it is read; three each for the first extension of a request and of a response.
    assert_eq!(allocations(|| usual("{}")), (0, 8));
    // One more for the model's name.
    assert_eq!(allocations(|| usual(r#"{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}"#)), (0, 9));
}
