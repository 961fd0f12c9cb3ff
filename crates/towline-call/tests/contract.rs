//! What holds of each layer: auto traits, readiness, polls, drops.

mod common;

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use common::*;
use http::Response;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use towline_call::{CallFuture, CallLayer, CallService};
use towline_core::{BoxError, FailureKind};

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

#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_polled_once_and_once_when_its_time_is_over() {
    let polls = AtomicUsize::new(0);
    let inner = service_fn(|_: Sent| {
        poll_fn(|_| {
            polls.fetch_add(1, Ordering::Relaxed);
            Poll::<Result<Response<()>, BoxError>>::Pending
        })
    });
    assert!(CallLayer::new().layer(inner).oneshot(chat(full("{}"))).await.is_err());
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_drops_what_it_waited_for_before_it_answers() {
    let held = Arc::new(());
    let inner = service_fn(|_: Sent| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<Result<Response<()>, BoxError>>().await
        }
    });
    let mut service = CallLayer::new().layer(inner);
    let mut future = pin!(service.call(chat(full("{}"))));
    assert!(future.as_mut().await.is_err());
    assert_eq!(Arc::strong_count(&held), 1, "though the future is still there");
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_at_any_stage_gives_back_what_it_held() {
    // The limit panics when it is called unready.
    let service = tower::ServiceBuilder::new()
        .layer(CallLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(|_: Sent| pending::<Result<Response<()>, BoxError>>()));
    for _ in 0..3 {
        let mut reads = tokio_test::task::spawn(service.clone().oneshot(chat(Silent(1))));
        assert!(reads.poll().is_pending());
        let mut called = tokio_test::task::spawn(service.clone().oneshot(chat(full("{}"))));
        assert!(called.poll().is_pending(), "one that reads holds no permit");
        let mut readies = tokio_test::task::spawn(service.clone().oneshot(chat(full("{}"))));
        assert!(readies.poll().is_pending());
    }
    let polled = tokio_test::task::spawn(service.clone().oneshot(chat(full("{}")))).poll();
    assert!(polled.is_pending());
    let error = service.oneshot(chat(full("{}"))).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::DeadlineExceeded);
}

#[tokio::test]
async fn a_panic_is_a_panic() {
    let service = CallLayer::new()
        .layer(service_fn(|_: Sent| async { if true { panic!("inside") } else { Ok::<_, BoxError>(Response::new(())) } }));
    assert!(tokio::spawn(service.oneshot(chat(full("{}")))).await.unwrap_err().is_panic());
}
