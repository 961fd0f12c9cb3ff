//! What holds of each layer: auto traits, readiness, polls, drops.

mod common;

use std::{cell::Cell, convert::Infallible, future::pending, rc::Rc, time::Duration};

use bytes::Bytes;
use common::{Log, burst, whole};
use http::{Request, Response};
use http_body_util::Full;
use tokio_test::task::spawn;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use towline_core::{BoxError, FailureKind, for_body};
use towline_rate_limit::{LimitedBody, RateLimit, RateLimitHandle, RateLimitLayer, ResponseFuture};
use towline_testkit::Probe;

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}

/// As the types inside are, so are ours; a body that is not `Sync`, as axum's, will do.
const _: () = {
    send::<RateLimitLayer>();
    sync::<RateLimitLayer>();
    send::<RateLimitHandle>();
    sync::<RateLimitHandle>();
    send::<RateLimit<Log>>();
    sync::<RateLimit<Log>>();
    send::<ResponseFuture<Log, usize>>();
    send::<ResponseFuture<Any, Cell<u8>>>();
    send::<LimitedBody<String>>();
    sync::<LimitedBody<String>>();
};

type Any = tower::util::BoxCloneSyncService<Request<Cell<u8>>, Response<String>, BoxError>;

#[tokio::test]
async fn a_service_that_is_not_send_and_borrows_will_do() {
    let prefix = String::from("not static");
    let inner = service_fn(|request: Request<Rc<u8>>| async {
        Ok::<_, Infallible>(Response::new(format!("{prefix} {}", request.into_body())))
    });
    let response = whole(60).layer(inner).oneshot(Request::new(Rc::new(7))).await.unwrap();
    assert_eq!(response.into_body().get_ref(), "not static 7");
}

#[test]
fn it_serves_http_with_any_body() {
    let inner = service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) });
    let _ = for_body::<Full<Bytes>, _>(whole(60).layer(inner));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_line_holds_no_readiness() {
    let (probe, report) = Probe::with_limit(Log::new(), 1);
    let layer = whole(60).burst(burst(1));
    let service = layer.layer(probe.clone());
    service.clone().oneshot(Request::new(0)).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(Request::new(1)));
    tokio::task::yield_now().await;
    assert_eq!((layer.handle().waiting(None), report.reserved(), report.ready_polls()), (1, 0, 1));
    waiting.await.unwrap().unwrap();
    assert_eq!(report.calls(), 2);
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_at_any_await_gives_back_what_it_held() {
    let never = service_fn(|_: Request<usize>| pending::<Result<Response<String>, BoxError>>());
    let (probe, report) = Probe::with_limit(never, 1);
    let layer = whole(1).burst(burst(2));
    let (handle, mut service) = (layer.handle(), layer.layer(probe));

    drop(service.call(Request::new(0)));
    assert_eq!(handle.available(None), 2, "never polled");

    report.set_ready(false);
    let mut unready = spawn(service.call(Request::new(0)));
    assert!(unready.poll().is_pending());
    assert_eq!(handle.available(None), 1);
    drop(unready);
    assert_eq!(handle.available(None), 2, "never sent");

    report.set_ready(true);
    let mut sent = spawn(service.call(Request::new(0)));
    assert!(sent.poll().is_pending());
    drop(sent);
    assert_eq!((handle.available(None), report.live(), report.reserved()), (1, 0, 0), "sent, so it stays charged");

    let layer = whole(60).burst(burst(1));
    let (handle, mut service) = (layer.handle(), layer.layer(service.into_inner()));
    let mut first = spawn(service.call(Request::new(0)));
    let mut in_line: Vec<_> = (0..3).map(|n| spawn(service.call(Request::new(n)))).collect();
    assert!(first.poll().is_pending() && in_line.iter_mut().all(|waiting| waiting.poll().is_pending()));
    assert_eq!(handle.waiting(None), 3);
    drop(in_line);
    assert_eq!(handle.waiting(None), 0);
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_fails_is_the_end_of_one_call_alone() {
    let (probe, report) = Probe::new(Log::new());
    let layer = whole(1).burst(burst(1));
    let service = layer.layer(probe);
    report.fail_readiness(1);
    assert_eq!(service.clone().oneshot(Request::new(0)).await.unwrap_err().kind(), FailureKind::Unknown);
    assert_eq!(layer.handle().available(None), 1, "what was not sent is not charged");
    service.oneshot(Request::new(1)).await.unwrap();
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_saturated_service_beneath_is_waited_for_and_an_unlimited_layer_forwards_its_readiness() {
    let inner = service_fn(|_: Request<()>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, BoxError>(Response::new(String::new()))
    });
    for layer in [whole(6000), RateLimitLayer::unlimited()] {
        let service = layer.layer(ConcurrencyLimitLayer::new(1).layer(Probe::new(inner).0));
        let calls = (0..3).map(|_| tokio::spawn(service.clone().oneshot(Request::new(()))));
        let began = tokio::time::Instant::now();
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}

#[test]
fn what_is_beneath_can_be_reached() {
    let mut service = whole(60).layer(1);
    *service.get_mut() += 1;
    assert_eq!(*service.get_ref(), 2);
    assert_eq!(service.into_inner(), 2);
}
