//! Who shares a limit with whom, what is charged, and what comes back.

mod common;

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};

use common::{Log, Unready, burst, to, whole};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{Error, Failure, FailureKind, Phase};
use towline_rate_limit::{Limits, RateLimitLayer};

#[tokio::test(start_paused = true)]
async fn clones_and_all_that_a_layer_is_put_on_share_one_limit() {
    let layer = whole(60).burst(burst(4));
    let (one, two) = (layer.layer(Log::new()), layer.clone().layer(Log::new()));
    for service in [one.clone(), one, two.clone(), two] {
        service.oneshot(Request::new(0)).await.unwrap();
    }
    assert_eq!(layer.handle().available(None), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_may_have_a_burst_of_its_own() {
    let layer = whole(60).burst(burst(2)).burst_for("big", burst(9));
    let handle = layer.handle();
    assert_eq!([handle.available(Some("big")), handle.available(Some("other"))], [9, 2]);
    handle.set_limits(Some("big"), Limits::none().requests_per_minute(burst(600)));
    assert_eq!(handle.available(Some("big")), 9, "limits that change leave it alone");
    layer.layer(Log::new()).oneshot(to("big")).await.unwrap();
    assert_eq!(handle.available(Some("big")), 8);
}

#[tokio::test(start_paused = true)]
async fn a_target_may_have_a_share_and_a_longest_wait_of_its_own() {
    let layer = whole(60).burst(burst(1)).max_wait(Duration::from_secs(1));
    let layer = layer.share_for("half", 0.5).unwrap().max_wait_for("half", Duration::from_secs(4));
    let service = layer.layer(Log::new());
    let passed = async |name: &'static str| {
        let calls: Vec<_> = (0..9).map(|_| tokio::spawn(service.clone().oneshot(to(name)))).collect();
        let mut passed = 0;
        for call in calls {
            passed += usize::from(call.await.unwrap().is_ok());
        }
        passed
    };
    let began = tokio::time::Instant::now();
    assert_eq!((passed("other").await, began.elapsed().as_secs()), (2, 1));
    assert_eq!((passed("half").await, began.elapsed().as_secs()), (3, 5), "one in two seconds, for four of them");
    for share in [0.0, 1.1, f64::NAN] {
        assert_eq!(whole(60).share_for("a", share).unwrap_err().field(), "share_for");
    }
}

#[tokio::test(start_paused = true)]
async fn each_target_has_a_limit_of_its_own() {
    let layer = whole(60).burst(burst(2)).max_wait(Duration::ZERO);
    let (service, handle) = (layer.layer(Log::new()), layer.handle());
    assert_eq!(handle.available(Some("a")), 2, "nobody has heard of it");
    for request in [to("a"), to("a"), to("b"), Request::new(0)] {
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!([handle.available(Some("a")), handle.available(Some("b")), handle.available(None)], [0, 1, 1]);
    service.oneshot(to("a")).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_target_is_not_forgotten_before_its_bucket_is_full_again() {
    let layer = whole(1).burst(burst(30)).max_wait(Duration::from_secs(1800));
    let service = layer.layer(Log::new());
    // 30 pass at once and 30 in the next half hour; nobody asks again.
    let calls: Vec<_> = (0..60).map(|_| tokio::spawn(service.clone().oneshot(to("slow")))).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    tokio::time::advance(Duration::from_secs(29 * 60)).await;
    for n in 0..1000 {
        service.clone().oneshot(to(&n.to_string())).await.unwrap();
    }
    assert_eq!(layer.handle().available(Some("slow")), 29);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_called_consumes_nothing() {
    let layer = whole(60).burst(burst(5));
    let service = layer.layer(Log::new());
    for _ in 0..5 {
        let mut readied = service.clone();
        readied.ready().await.unwrap();
    }
    assert_eq!(layer.handle().available(None), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_stays_charged_and_what_never_left_comes_back() {
    let sent = [FailureKind::Overloaded, FailureKind::ServerError, FailureKind::Transport, FailureKind::Timeout(Phase::Head)];
    let unsent =
        [FailureKind::Connect, FailureKind::Timeout(Phase::Connect), FailureKind::CircuitOpen, FailureKind::LimitedLocally];
    for (kinds, left) in [(sent, 6), (unsent, 10)] {
        let layer = whole(60).burst(burst(10));
        for kind in kinds {
            let failing =
                service_fn(move |_: Request<()>| async move { Err::<Response<String>, _>(Error::new(Failure::new(kind))) });
            let error = layer.layer(failing).oneshot(Request::new(())).await.unwrap_err();
            assert_eq!(error.kind(), kind, "the error is handed on as it is");
        }
        assert_eq!(layer.handle().available(None), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_become_ready_is_charged_nothing() {
    let layer = whole(60).burst(burst(1));
    let refusing = Unready(io::ErrorKind::ConnectionRefused);
    let mut future = tokio_test::task::spawn(layer.layer(refusing).call(Request::new(0)));
    assert!(matches!(future.poll(), Poll::Ready(Err(error)) if error.kind() == FailureKind::Connect));
    assert_eq!(layer.handle().available(None), 1, "before the future is dropped");
}

#[tokio::test(start_paused = true)]
async fn an_unlimited_layer_lets_everything_pass() {
    let log = Log::new();
    let layer = RateLimitLayer::unlimited().burst(burst(1)).share(0.5).unwrap();
    let service = layer.layer(log.clone());
    for n in 0..100 {
        service.clone().oneshot(Request::new(n)).await.unwrap();
    }
    assert_eq!(log.calls().len(), 100);
    assert_eq!((layer.handle().available(None), layer.handle().waiting(None)), (u32::MAX, 0));
}

#[test]
fn a_share_that_makes_no_sense_is_refused_by_name() {
    for share in [0.0, -0.5, 0.0004, 1.001, f64::NAN, f64::INFINITY] {
        assert_eq!(whole(60).share(share).unwrap_err().field(), "share", "{share}");
    }
    assert!(whole(60).share(0.001).is_ok() && whole(60).share(1.0).is_ok());
}

/// Fewer tokens than the books keep low points for, so that each refund is exact, however long a thread was held up before it.
#[test]
fn threads_neither_lose_nor_make_tokens() {
    for _ in 0..20 {
        let layer = whole(1).burst(burst(50)).max_wait(Duration::ZERO);
        let served = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut service = layer.layer(Log::new());
                    for n in 0..200 {
                        // Each second one leaves before it is sent.
                        let mut future = tokio_test::task::spawn(service.call(Request::new(n)));
                        if n % 2 == 0 && matches!(future.poll(), Poll::Ready(Ok(_))) {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        // Whoever leaves may have held the last one until all others had asked for the last time.
        let left = usize::try_from(layer.handle().available(None)).unwrap();
        assert_eq!(served.into_inner() + left, 50);
        assert!(left <= 4, "each thread holds one at most, and {left} are left");
    }
}
