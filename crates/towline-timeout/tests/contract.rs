//! What holds of each layer: auto traits, readiness, polls, drops.

mod common;

use std::{
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use common::*;
use http_body::Body;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use towline_core::{BoxError, Error};
use towline_timeout::{ResponseFuture, TimedBody, Timeout, TimeoutLayer};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unpin<T: Unpin>() {}

/// As the types inside are, so are ours.
const _: () = {
    send::<TimeoutLayer>();
    sync::<TimeoutLayer>();
    send::<Timeout<u8>>();
    sync::<Timeout<u8>>();
    send::<ResponseFuture<u8>>();
    send::<TimedBody<u8>>();
    sync::<TimedBody<u8>>();
    unpin::<TimedBody<u8>>();
    // A body that is not `Sync`, as axum's, will do.
    send::<TimedBody<std::cell::Cell<u8>>>();
};

#[test]
fn a_body_that_is_neither_send_nor_unpin_will_do() {
    let inner =
        service_fn(
            |request: http::Request<std::rc::Rc<u8>>| async move { Ok::<_, BoxError>(Response::new(request.into_body())) },
        );
    let mut service = TimeoutLayer::attempt().layer(inner);
    let future = service.call(http::Request::new(std::rc::Rc::new(7)));
    assert!(tokio_test::block_on(future).is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_without_cause() {
    let body = Paced::each(secs(50), 10);
    let polls = Arc::clone(&body.polls);
    let mut body = Some(body);
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| std::future::ready(Ok::<_, BoxError>(Response::new(body.take().unwrap())))));
    let response = service.oneshot(Request::default()).await.unwrap();
    assert_eq!(read(response.into_body()).await, (10, Ok(())));
    // Twice for each byte, once for the end, and no oftener than once per idle limit for a timer that was not reset.
    let polls = polls.load(Ordering::Relaxed);
    assert!((21..=31).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_head_is_polled_once_and_once_when_its_time_is_over() {
    let polls = AtomicUsize::new(0);
    let inner = service_fn(|_: Request| {
        std::future::poll_fn(|_| {
            polls.fetch_add(1, Ordering::Relaxed);
            Poll::<Result<Response<Paced>, BoxError>>::Pending
        })
    });
    assert!(TimeoutLayer::attempt().layer(inner).oneshot(Request::default()).await.is_err());
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_passed_drops_what_it_waited_for_before_it_answers() {
    let held = Arc::new(());
    let inner = service_fn(|_: Request| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<Result<Response<Paced>, BoxError>>().await
        }
    });
    let mut service = TimeoutLayer::attempt().layer(inner);
    let mut future = pin!(service.call(Request::default()));
    assert!(future.as_mut().await.is_err());
    assert_eq!(Arc::strong_count(&held), 1, "though the future is still there");
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());

    let silent = Paced::silent();
    let held = Arc::clone(&silent.alive);
    let mut silent = Some(silent);
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| std::future::ready(Ok::<_, BoxError>(Response::new(silent.take().unwrap())))));
    let mut body = service.oneshot(Request::default()).await.unwrap().into_body();
    assert!(http_body_util::BodyExt::frame(&mut body).await.unwrap().is_err());
    assert_eq!(Arc::strong_count(&held), 1, "though our body is still there");
    assert!(body.is_end_stream() && http_body_util::BodyExt::frame(&mut body).await.is_none(), "and has ended for good");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_gives_back_what_it_held() {
    let inner = tower::ServiceBuilder::new()
        .layer(TimeoutLayer::attempt())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(|_: Request| pending::<Result<Response<Paced>, BoxError>>()));
    for _ in 0..3 {
        let mut call = tokio_test::task::spawn(inner.clone().oneshot(Request::default()));
        assert!(call.poll().is_pending());
        let mut waits = tokio_test::task::spawn(inner.clone().oneshot(Request::default()));
        assert!(waits.poll().is_pending());
    }
    let error: Error = inner.oneshot(Request::default()).await.unwrap_err();
    assert_eq!(error.kind(), TIMEOUT_HEAD, "the permit was there");
}
