//! Targets with services of their own.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, Call, Facts, Failure, FailureKind, Target};
use towline_fallback::{FallbackLayer, Via};
use towline_testkit::Probe;

mod support;

use support::{request, targets, with_call};

type Answer = Result<Response<&'static str>, BoxError>;

/// A service that says which it is, after a second.
fn says(
    what: &'static str,
) -> impl Service<Request<Full<Bytes>>, Response = Response<&'static str>, Error = BoxError, Future: Send> + Clone + Send + Sync {
    service_fn(move |_: Request<Full<Bytes>>| async move {
        sleep(Duration::from_secs(1)).await;
        Answer::Ok(Response::new(what))
    })
}

fn call() -> Call {
    let now = Instant::now();
    Call::new(Facts::default(), now, Some(now + Duration::from_secs(60)))
}

#[tokio::test(start_paused = true)]
async fn each_request_goes_to_the_service_of_its_target_or_to_the_shared_one() {
    let all = targets(&["a", "b", "c"]);
    let via =
        Via::new(says("shared")).target(&all[1], says("once")).target(&all[1], says("b's own")).target(&all[2], says("c's"));
    for (target, expected) in all.into_iter().zip(["shared", "b's own", "c's"]) {
        let layer = FallbackLayer::new([target]).unwrap();
        assert_eq!(layer.layer(via.clone()).oneshot(request()).await.unwrap().body(), &expected);
    }
    assert_eq!(via.oneshot(request()).await.unwrap().body(), &"shared", "nobody has chosen a target");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_passed_over_at_once_and_blocks_nobody() {
    let all = targets(&["busy", "free"]);
    let (busy, report) = Probe::new(says("busy"));
    report.set_ready(false);
    let service = FallbackLayer::new(all.clone()).unwrap().layer(Via::new(says("shared")).target(&all[0], busy));
    let (began, call) = (Instant::now(), call());
    let answer = service.clone().oneshot(with_call(&call)).await.unwrap();
    assert_eq!((*answer.body(), began.elapsed(), report.calls()), ("shared", Duration::from_secs(1), 0));
    let lines: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["busy: limited_locally after 0ms", "free: ok 200 after 1000ms"]);

    report.set_ready(true);
    assert_eq!(service.oneshot(request()).await.unwrap().body(), &"busy", "and is asked again when it is");
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_where_no_other_target_waits() {
    let all = targets(&["busy"]);
    let (busy, report) = Probe::new(says("busy"));
    report.set_ready(false);
    let service = FallbackLayer::new(all.clone()).unwrap().layer(Via::new(says("shared")).target(&all[0], busy));
    let mut waiting = tokio_test::task::spawn(service.oneshot(with_call(&call())));
    assert!(waiting.poll().is_pending());
    report.set_ready(true);
    assert!(waiting.is_woken());
    assert_eq!(waiting.await.unwrap().body(), &"busy");
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_shared_service_that_is_not_ready_blocks_no_service_of_a_targets_own() {
    let all = targets(&["theirs", "own"]);
    let (shared, report) = Probe::new(says("shared"));
    report.set_ready(false);
    let via = Via::new(shared).target(&all[1], says("own"));
    let layer = FallbackLayer::new([all[1].clone()]).unwrap();
    assert_eq!(layer.layer(via).oneshot(request()).await.unwrap().body(), &"own");
    assert_eq!(report.ready_polls(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_service_is_readied_before_it_is_called() {
    let all = targets(&["a", "b"]);
    let fails = |_: Request<Full<Bytes>>| async {
        Err::<Response<&str>, BoxError>(towline_core::Error::new(Failure::new(FailureKind::Overloaded)).into())
    };
    let (shared, one) = Probe::with_limit(service_fn(fails), 1);
    let (own, other) = Probe::with_limit(service_fn(fails), 1);
    let service = FallbackLayer::new(all.clone()).unwrap().layer(Via::new(shared).target(&all[1], own));
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(request()).await.unwrap_err().kind(), FailureKind::Overloaded);
    }
    assert_eq!((one.calls(), other.calls()), (2, 2));
    one.assert_clean();
    other.assert_clean();
}

#[test]
fn what_is_send_within_is_send_without() {
    fn assert_send<T: Send + Sync>(_: &T) {}
    let mut via = Via::new(says("shared")).target(&Target::new("t", "http://t").unwrap(), says("own"));
    assert_send(&via);
    fn assert_future<T: Send>(_: &T) {}
    assert_future(&via.call(request()));
    assert_eq!(format!("{:?}", Via::<_, (), ()>::new(7)), "Via { inner: 7, own: [] }");
}
