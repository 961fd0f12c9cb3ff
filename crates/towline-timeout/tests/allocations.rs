//! What a call costs, counted.

mod common;

use std::{
    future::{Future, poll_fn, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use common::*;
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use towline_core::{BoxError, Call, Dialect, Facts, StreamHandle, Target};
use towline_testkit::ScriptedBody;
use towline_timeout::{TimedBody, TimeoutLayer};

fn allocations(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).count_total
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_frame<B: Body + Unpin>(body: &mut TimedBody<B>) -> bool
where
    B::Error: Into<BoxError>,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn a_call_that_never_waits_allocates_nothing() {
    let mut service = TimeoutLayer::attempt()
        .layer(service_fn(|_: Request| ready(Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"{}")))))));
    let count = allocations(|| {
        let Poll::Ready(Ok(response)) = poll_once(service.call(Request::default())) else { panic!("it was ready") };
        let mut body = response.into_body();
        assert!(poll_frame(&mut body) && poll_frame(&mut body));
    });
    assert_eq!(count, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_costs_one_timer_for_head_and_body_together() {
    let mut body = Some(ScriptedBody::new().hang());
    let mut service = TimeoutLayer::attempt().layer(service_fn(move |_: Request| {
        let (mut body, mut waited) = (body.take(), false);
        poll_fn(move |_| {
            if !std::mem::replace(&mut waited, true) {
                return Poll::Pending;
            }
            Poll::Ready(Ok::<_, BoxError>(Response::new(body.take().unwrap())))
        })
    }));
    let count = allocations(|| {
        let mut future = pin!(service.call(Request::default()));
        assert!(poll_once(future.as_mut()).is_pending());
        let Poll::Ready(Ok(response)) = poll_once(future.as_mut()) else { panic!("it was ready") };
        let mut body = response.into_body();
        for _ in 0..10 {
            assert!(!poll_frame(&mut body));
        }
    });
    assert_eq!(count, 1);
}

/// A handle of the response is shared, not copied, and neither a call nor a target costs more than a count.
#[test]
fn a_stream_that_never_waits_allocates_once_and_once_more_for_limits_of_its_own() {
    let now = tokio::time::Instant::now();
    let handle = StreamHandle::new(now);
    handle.record_content(now, 1);
    let mut facts = Facts::default();
    (facts.stream, facts.dialect) = (true, Some(Dialect::Anthropic));
    let mut request = request_with(Call::new(facts, now, None));
    request.extensions_mut().insert(Target::new("t", "http://host").unwrap());
    let mut response = Response::new(Full::new(Bytes::from_static(b"data: {}\n\n")));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    response.extensions_mut().insert(handle);
    let (mut request, mut response) = (Some(request), Some(response));
    let slow = TimeoutLayer::reasoning().limits();
    let mut service = TimeoutLayer::attempt()
        .profile(move |facts, _| facts.stream.then_some(slow))
        .layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap()))));
    let kept = Call::of(request.as_ref().unwrap().extensions()).cloned();
    let count = allocations(|| {
        let Poll::Ready(Ok(response)) = poll_once(service.call(request.take().unwrap())) else { panic!("it was ready") };
        let mut body = response.into_body();
        assert!(poll_frame(&mut body) && poll_frame(&mut body));
    });
    assert_eq!((count, kept.is_some()), (2, true));
}
