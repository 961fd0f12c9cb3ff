//! The contract of tower, and what a success allocates.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    num::NonZeroUsize,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, Call, Credential, Facts, Target};
use towline_fallback::{AuthorizeLayer, Cache, DegradeLayer, FallbackLayer};
use towline_testkit::{Probe, counted};

mod support;

use support::{request, targets, with_call};

type Inner = Response<Full<Bytes>>;
type AtOnce = fn(Request<Full<Bytes>>) -> Ready<Result<Inner, BoxError>>;

/// Fails at `a` after a second, at `b` with a limit on the first key, and answers then.
async fn provider(request: Request<Full<Bytes>>) -> Result<Inner, BoxError> {
    sleep(Duration::from_secs(1)).await;
    let first_key = request.headers().get("authorization").is_some_and(|key| key == "Bearer one");
    let status = match request.uri().host() {
        Some("a") => 503,
        _ if first_key => 429,
        _ => 200,
    };
    Ok(Response::builder().status(status).body(Full::default())?)
}

fn chain() -> FallbackLayer {
    let keys = ["one", "two"].map(|key| Credential::bearer(key).unwrap());
    let keyed = Target::new("b", "http://b").unwrap().with_keys(keys);
    FallbackLayer::new(targets(&["a"]).into_iter().chain([keyed])).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_hop_calls_a_service_that_was_readied_and_wakes_itself_nowhere() {
    let (service, report) = Probe::with_limit(service_fn(provider), 1);
    let client = DegradeLayer::new().answer("nobody").layer(chain().layer(AuthorizeLayer::new().layer(service)));
    let (call, polls) = counted(client.clone().oneshot(request()));
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!((report.calls(), report.completed(), report.reserved()), (3, 3, 0), "a, and both keys of b");
    assert!(polls.get() <= 8, "{} polls for three sleeps", polls.get());
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_it_sends_no_more_and_leaves_nothing() {
    for millis in [0, 500, 1500, 2500] {
        let (service, report) = Probe::with_limit(service_fn(provider), 1);
        let mut client = DegradeLayer::new().answer("nobody").layer(chain().layer(AuthorizeLayer::new().layer(service)));
        let call = Call::new(Facts::default(), Instant::now(), Some(Instant::now() + Duration::from_secs(60)));
        let late = tokio::time::timeout(Duration::from_millis(millis), client.call(with_call(&call))).await;
        assert!(late.is_err(), "{millis}");
        let sent = report.calls();
        sleep(Duration::from_secs(60)).await;
        assert_eq!((report.live(), report.reserved(), report.calls()), (0, 0, sent), "{millis}");
        report.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_readiness_fails_is_neither_polled_nor_called_again() {
    let (service, report) = Probe::new(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<Inner, BoxError>(Response::builder().status(503).body(Full::default())?)
    }));
    report.fail_readiness(1);
    let answer = FallbackLayer::new(targets(&["a", "b"])).unwrap().layer(service).oneshot(request()).await;
    assert!(answer.is_err());
    assert_eq!(report.calls(), 0);
    report.assert_clean();
}

/// The allocations of one successful call.
fn allocations<L>(layer: &L, request: Request<Full<Bytes>>) -> u64
where
    L: Layer<tower::util::ServiceFn<AtOnce>>,
    L::Service: Service<Request<Full<Bytes>>>,
    <L::Service as Service<Request<Full<Bytes>>>>::Error: std::fmt::Debug,
{
    let provider: AtOnce = |request| {
        drop(request);
        ready(Ok(Response::new(Full::default())))
    };
    let mut client = layer.layer(service_fn(provider));
    // Whoever has cloned a buffer once has made it a shared one, of which further clones are free.
    black_box((request.headers().clone(), request.uri().clone()));
    let mut request = Some(request);
    let counted = measure(|| {
        let call = pin!(client.call(request.take().unwrap()));
        assert!(matches!(call.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    });
    counted.count_total
}

#[test]
fn a_success_allocates_the_same_however_many_targets_there_are() {
    let names: Vec<_> = (0..64).map(|nth| nth.to_string()).collect();
    let count = |most: usize| {
        let names: Vec<_> = names.iter().take(most).map(String::as_str).collect();
        let layer = FallbackLayer::new(targets(&names)).unwrap();
        let special = layer.clone().context_window_targets(targets(&["large"])).unwrap();
        let request = || {
            let mut request = request();
            request.headers_mut().insert("x-request-id", "7".parse().unwrap());
            request
        };
        allocations(&layer, request()); // what is made once
        let plain = allocations(&layer, request());
        assert_eq!(allocations(&special, request()), if most == 1 { plain + 1 } else { plain }, "the copy, once");
        plain
    };
    let (one, two, four, many) = (count(1), count(2), count(4), count(64));
    // The URI; the target in two maps of extensions that did not exist, each of them a box, a table and a value.
    assert_eq!(one, 1 + 3 + 3);
    assert_eq!((two, four, many), (one + 1, one + 1, one + 1), "one copy of the head");
}

#[test]
fn what_is_not_configured_costs_nothing() {
    assert_eq!(allocations(&FallbackLayer::none(), request()), 0);
    assert_eq!(allocations(&AuthorizeLayer::new(), request()), 0);
    assert_eq!(allocations(&DegradeLayer::new(), request()), 0);
    let cache = Cache::new(NonZeroUsize::MIN, Duration::from_secs(1));
    assert!(allocations(&DegradeLayer::new().cache(cache), request()) > 0);
}
