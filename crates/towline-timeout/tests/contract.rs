//! What holds of each layer: auto traits, readiness, polls, drops.

mod common;

use std::{
    future::{Future, pending, ready},
    pin::pin,
    task::{Context, Waker},
};

use common::*;
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, FailureKind};
use towline_testkit::{Probe, ScriptedBody, counted};
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

async fn never(_: Request) -> Result<Response<ScriptedBody>, BoxError> {
    pending().await
}

#[test]
fn a_body_that_is_not_send_will_do() {
    let inner =
        service_fn(
            |request: http::Request<std::rc::Rc<u8>>| async move { Ok::<_, BoxError>(Response::new(request.into_body())) },
        );
    let mut service = TimeoutLayer::attempt().layer(inner);
    let future = service.call(http::Request::new(std::rc::Rc::new(7)));
    assert!(tokio_test::block_on(future).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_service_that_is_called_is_the_one_that_was_readied() {
    let (probe, report) = Probe::with_limit(service_fn(never), 1);
    let mut service = TimeoutLayer::attempt().layer(probe);
    for _ in 0..3 {
        let error = service.ready().await.unwrap().call(Request::default()).await.unwrap_err();
        assert_eq!(error.kind(), HEAD);
    }
    assert_eq!((report.calls(), report.dropped(), report.reserved()), (3, 3, 0));
    report.assert_clean();
}

#[tokio::test]
async fn readiness_and_its_failure_come_from_beneath() {
    let (probe, report) = Probe::new(service_fn(never));
    let mut service = TimeoutLayer::attempt().layer(probe);
    report.set_ready(false);
    assert!(tokio_test::task::spawn(service.ready()).poll().is_pending());
    report.set_ready(true);
    report.fail_readiness(1);
    assert_eq!(service.ready().await.unwrap_err().kind(), FailureKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_head_is_polled_once_and_once_when_its_time_is_over() {
    let (probe, report) = Probe::new(service_fn(never));
    assert!(TimeoutLayer::attempt().layer(probe).oneshot(Request::default()).await.is_err());
    assert_eq!(report.polls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_body_is_not_polled_without_cause() {
    let body = every(50, 10);
    let (report, mut body) = (body.report(), Some(body));
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(Response::new(body.take().unwrap())))));
    let response = service.oneshot(Request::default()).await.unwrap();
    let (reading, polls) = counted(read(response.into_body()));
    assert_eq!(reading.await, (10, Ok(())));
    // Twice for each byte, once for the end; and of the timer, which is not set anew for each byte, once in 60 s at most.
    assert!((21..=30).contains(&report.polls()), "{}", report.polls());
    assert!(polls.get() <= 20, "{}", polls.get());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_passed_drops_the_inner_future_before_it_answers() {
    let (probe, report) = Probe::new(service_fn(never));
    let mut service = TimeoutLayer::attempt().layer(probe);
    let mut future = pin!(service.ready().await.unwrap().call(Request::default()));
    assert!(future.as_mut().await.is_err());
    assert_eq!((report.live(), report.dropped()), (0, 1), "though the future is still there");
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_passed_drops_the_inner_body_before_it_answers() {
    let silent = ScriptedBody::new().data("begun").hang();
    let (report, mut silent) = (silent.report(), Some(silent));
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(Response::new(silent.take().unwrap())))));
    let mut body = service.oneshot(Request::default()).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), IDLE);
    assert!(report.is_dropped(), "though our body is still there");
    assert!(body.is_end_stream() && body.frame().await.is_none(), "and has ended for good");
}

#[tokio::test]
async fn a_body_that_failed_stays_ended() {
    let broken = ScriptedBody::new().error("cable cut").data("from beyond");
    let (report, mut broken) = (broken.report(), Some(broken));
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(Response::new(broken.take().unwrap())))));
    let mut body = service.oneshot(Request::default()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), FailureKind::StreamBroken);
    assert!(report.is_dropped() && body.frame().await.is_none());
}

#[tokio::test]
async fn a_future_that_is_dropped_gives_back_what_it_held() {
    let (probe, report) = Probe::with_limit(service_fn(never), 1);
    let service = TimeoutLayer::attempt().layer(probe);
    for nth in 1..4 {
        let mut called = tokio_test::task::spawn(service.clone().oneshot(Request::default()));
        assert!(called.poll().is_pending());
        let mut waits = tokio_test::task::spawn(service.clone().oneshot(Request::default()));
        assert!(waits.poll().is_pending());
        drop((called, waits));
        assert_eq!((report.live(), report.reserved(), report.calls()), (0, 0, nth));
    }
    report.assert_clean();
}
