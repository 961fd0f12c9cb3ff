//! What a call costs that need not wait.

mod common;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use common::{
    burst, to,
    tokens::{self, asks, few, n},
    whole,
};
use http::{Request, Response};
use tower::{Layer, Service};
use towline_core::BoxError;
use towline_rate_limit::{Limits, RateLimitLayer};

#[derive(Clone)]
struct Ready;

impl Service<Request<usize>> for Ready {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<usize>) -> Self::Future {
        std::future::ready(Ok(Response::new(String::new())))
    }
}

/// Allocations of 200 calls after a first one, the requests not counted.
fn allocations(layer: &RateLimitLayer, request: impl Fn() -> Request<usize>) -> u64 {
    let mut service = layer.layer(Ready);
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = |request| {
        let mut future = std::pin::pin!(service.call(request));
        assert!(future.as_mut().poll(&mut cx).is_ready());
    };
    call(request());
    let requests: Vec<_> = (0..200).map(|_| request()).collect();
    let counted = allocation_counter::measure(|| requests.into_iter().for_each(&mut call));
    // The requests are freed within, which the count of allocations does not see.
    counted.count_total
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_allocates_its_turn_and_what_is_to_be_sent() {
    let mut service = whole(60).burst(burst(1)).layer(Ready);
    service.call(Request::new(0)).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = [None, None];
    // The first one becomes the head of the line and sets a timer, the second stands behind it.
    for place in &mut waiting {
        let request = Request::new(0);
        let counted = allocation_counter::measure(|| {
            assert!(Pin::new(place.insert(service.call(request))).poll(&mut cx).is_pending());
        });
        assert_eq!(counted.count_total, 2);
    }
}

#[test]
fn a_call_that_need_not_wait_allocates_nothing() {
    assert_eq!(allocations(&whole(60_000), || Request::new(0)), 0);
    assert_eq!(allocations(&whole(60_000), || to("a")), 0, "nor one to a target that is known");
    let every = Limits::none().requests_per_minute(few(60_000)).tokens_per_minute(n(u64::from(u32::MAX))).concurrency(few(9));
    assert_eq!(allocations(&tokens::whole(every), || asks(10, 10)), 0, "nor one with several limits");
    assert_eq!(allocations(&RateLimitLayer::unlimited(), || Request::new(0)), 0);
}
