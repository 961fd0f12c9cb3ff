//! What holds of each layer: auto traits, readiness, polls, drops.

mod common;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use common::*;
use http::Response;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_call::{CallFuture, CallLayer, CallService};
use towline_core::{BoxError, FailureKind};
use towline_testkit::{Probe, ScriptedBody};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}

/// As the types inside are, so are ours; a body must be `Send` for it and nothing more.
const _: () = {
    send::<CallLayer>();
    sync::<CallLayer>();
    send::<CallService<u8>>();
    sync::<CallService<u8>>();
    send::<CallFuture<u8, axum::body::Body, std::cell::Cell<u8>>>();
};

#[tokio::test]
async fn a_service_that_is_not_send_and_borrows_will_do() {
    let local = std::rc::Rc::new(std::cell::Cell::new(0));
    let inner = service_fn(|_: Sent| {
        local.set(local.get() + 1);
        async { Ok::<_, BoxError>(Response::new(())) }
    });
    assert!(CallLayer::new().layer(inner).oneshot(chat(full("{}"))).await.is_ok());
    assert_eq!(local.get(), 1);
}

#[tokio::test]
async fn the_clone_that_is_called_is_the_one_that_was_readied() {
    let (probe, report) = Probe::with_limit(service_fn(echo), 1);
    let service = CallLayer::new().layer(probe);
    for _ in 0..3 {
        let slow = frames(["{", "}"]).pending();
        assert!(service.clone().oneshot(chat(slow)).await.is_ok());
    }
    assert_eq!((report.calls(), report.unused(), report.reserved()), (3, 0, 0));
    report.assert_clean();
}

#[tokio::test]
async fn a_readiness_that_fails_is_the_error_of_the_call() {
    let (probe, report) = Probe::new(service_fn(echo));
    report.fail_readiness(1);
    let error = CallLayer::new().layer(probe).oneshot(chat(full("{}"))).await.unwrap_err();
    assert!(error.kind() == FailureKind::Unknown && error.call().is_some());
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_polled_once_and_once_when_its_time_is_over() {
    let (probe, report) = Probe::new(service_fn(never));
    assert!(CallLayer::new().layer(probe).oneshot(chat(full("{}"))).await.is_err());
    assert_eq!(report.polls(), 2);
    let silent = ScriptedBody::new().hang();
    let report = silent.report();
    assert!(CallLayer::new().layer(service_fn(must_not_be_called)).oneshot(chat(silent)).await.is_err());
    // It is asked within the call, and by the one who waits; the last poll finds that it is too late before it asks.
    assert_eq!(report.polls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_drops_what_it_waited_for_before_it_answers() {
    let (probe, report) = Probe::new(service_fn(never));
    let mut service = CallLayer::new().layer(probe);
    let mut future = pin!(service.call(chat(full("{}"))));
    assert!(future.as_mut().await.is_err());
    assert_eq!((report.live(), report.dropped()), (0, 1), "though the future is still there");
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());

    let silent = ScriptedBody::new().hang();
    let report = silent.report();
    let mut service = CallLayer::new().layer(service_fn(must_not_be_called));
    let mut future = pin!(service.call(chat(silent)));
    assert!(future.as_mut().await.is_err() && report.is_dropped());
}

#[tokio::test]
async fn the_callers_body_is_gone_before_the_call_is_made() {
    let body = frames(["{", "}"]);
    let report = body.report();
    let service = CallLayer::new().layer(service_fn(never));
    let mut call = tokio_test::task::spawn(service.oneshot(chat(body)));
    assert!(call.poll().is_pending() && report.is_dropped());
}

#[tokio::test]
async fn a_future_that_is_dropped_at_any_stage_gives_back_what_it_held() {
    let (probe, report) = Probe::with_limit(service_fn(never), 1);
    let service = CallLayer::new().layer(probe);
    for nth in 1..4 {
        let body = ScriptedBody::new().hang();
        let reading = body.report();
        let mut reads = tokio_test::task::spawn(service.clone().oneshot(chat(body)));
        assert!(reads.poll().is_pending());
        assert_eq!(report.reserved(), 0, "whoever reads holds no place");
        let mut called = tokio_test::task::spawn(service.clone().oneshot(chat(full("{}"))));
        assert!(called.poll().is_pending());
        let mut readies = tokio_test::task::spawn(service.clone().oneshot(chat(full("{}"))));
        assert!(readies.poll().is_pending());
        assert_eq!((report.live(), report.calls()), (1, nth));
        drop((reads, readies, called));
        assert!(reading.is_dropped());
        assert_eq!((report.live(), report.reserved(), report.calls()), (0, 0, nth));
    }
    report.assert_clean();
}

#[tokio::test]
async fn a_panic_is_a_panic() {
    let panics = service_fn(|request: Sent| async move {
        assert!(request.headers().is_empty(), "inside");
        echo(request).await
    });
    assert!(tokio::spawn(CallLayer::new().layer(panics).oneshot(chat(full("{}")))).await.unwrap_err().is_panic());
}
