//! What a request costs that is let through, in allocations: nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};
use towline_circuit_breaker::CircuitBreakerLayer;
use towline_core::{Call, Facts, Target};

/// Allocations of one call, body included, to a service that itself allocates nothing.
fn allocations(layer: &CircuitBreakerLayer, request: Request<Full<Bytes>>, body: &'static [u8]) -> u64 {
    let mut service = layer.layer(service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(body)))))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let counted = measure(|| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let future = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = future.poll(&mut cx) else { panic!("it is let through") };
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            assert!(frame.unwrap().is_data());
        }
    });
    counted.count_total
}

#[test]
fn a_request_through_a_closed_circuit_allocates_nothing() {
    let layer = CircuitBreakerLayer::new();
    for body in ["", "{}"] {
        assert_eq!(allocations(&layer, Request::new(Full::default()), body.as_bytes()), 0);
    }
}

#[test]
fn nor_does_it_with_any_rule_on_or_as_a_part_of_a_call() -> Result<(), towline_core::InvalidConfig> {
    let (new, minute) = (CircuitBreakerLayer::new, Duration::from_secs(60));
    let layers = [
        new().without_failure_ratio()?,
        new().failures_in(5, minute)?,
        new().slow_ratio(minute, 0.5, minute, 10)?,
        new().drops_after(minute).ramp(minute)?,
        new().key(|_| None),
        new().metrics_only(),
    ];
    for layer in layers {
        assert_eq!(allocations(&layer, Request::new(Full::default()), b"{}"), 0);
        let (now, mut request) = (Instant::now(), Request::new(Full::default()));
        request.extensions_mut().insert(Call::new(Facts::default(), now, Some(now + minute)));
        assert_eq!(allocations(&layer, request, b"{}"), 0);
    }
    Ok(())
}

#[test]
fn nor_does_one_to_a_target_that_is_known() {
    let layer = CircuitBreakerLayer::new();
    let request = || {
        let mut request = Request::new(Full::default());
        request.extensions_mut().insert(Target::new("one", "http://host").unwrap());
        request
    };
    assert!(allocations(&layer, request(), b"{}") > 0, "its circuit is made");
    assert_eq!(allocations(&layer, request(), b"{}"), 0);
}

#[test]
fn an_earlier_failure_changes_nothing_about_that() {
    let layer = CircuitBreakerLayer::new();
    let failing = service_fn(|_: Request<Full<Bytes>>| std::future::ready(Err::<Response<Full<Bytes>>, _>(std::fmt::Error)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(layer.layer(failing).call(Request::new(Full::default()))).poll(&mut cx).is_ready());
    assert_eq!(allocations(&layer, Request::new(Full::default()), b"{}"), 0, "ending a run included");
}
