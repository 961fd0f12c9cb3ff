//! What a success costs, counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    future::{Future, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};
use towline_core::{
    BoxError, Call, Facts, Target,
    body::{ReplayBody, TryClone},
};
use towline_retry::RetryLayer;

fn request<B>(body: B) -> Request<B> {
    let mut request = Request::post("http://host/v1/messages");
    for name in
        ["accept", "anthropic-version", "content-type", "user-agent", "x-api-key", "x-request-id", "x-a", "x-b", "x-c", "x-d"]
    {
        request = request.header(name, format!("{name} as a value of its own"));
    }
    let request = request.body(body).unwrap();
    // Whoever has cloned a buffer once has made it a shared one, of which further clones are free.
    black_box((request.headers().clone(), request.uri().clone()));
    request
}

fn full() -> Request<Full<Bytes>> {
    request(Full::from(Bytes::from_static(b"{}")))
}

/// The allocations of one successful call, less those of the service beneath.
fn counted<B: TryClone>(layer: &RetryLayer, request: Request<B>) -> u64 {
    let provider = service_fn(|request: Request<B>| {
        drop(request);
        ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())))
    });
    let mut client = layer.layer(provider);
    let mut request = Some(request);
    let counted = measure(|| {
        let call = pin!(client.call(request.take().unwrap()));
        assert!(matches!(call.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    });
    counted.count_total
}

#[test]
fn a_success_costs_one_allocation_however_many_headers_there_are() {
    let layer = RetryLayer::new();
    assert_eq!(counted(&layer, full()), 1);
    assert_eq!(counted(&layer, Request::new(Full::<Bytes>::default())), 0, "and none without a header");
}

#[test]
fn what_is_sent_once_costs_nothing() {
    assert_eq!(counted(&RetryLayer::new().attempts(1).unwrap(), full()), 0);
    let mut to_target = full();
    to_target.extensions_mut().insert(Target::new("once", "http://host").unwrap().with_attempts(std::num::NonZeroU32::MIN));
    let layer = RetryLayer::new().without_budget();
    assert_eq!(counted(&layer, to_target), 0, "by the target's own word");
    let once: ReplayBody = ReplayBody::once(Full::from("a stream"));
    assert_eq!(counted(&RetryLayer::new(), request(once)), 0);
}

#[test]
fn a_call_costs_the_first_line_of_its_trail_and_its_target_nothing() {
    let layer = RetryLayer::new();
    let request = || {
        let mut request = full();
        request.extensions_mut().insert(Target::new("primary", "http://host").unwrap());
        request.extensions_mut().insert(Call::new(Facts::default(), Instant::now(), None));
        request
    };
    counted(&layer, request()); // makes the target's budget
    // The head; the trail.
    assert_eq!(counted(&layer, request()), 1 + 1);
}
