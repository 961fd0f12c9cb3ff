use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use towline_core::{
    Error, FailureKind,
    body::{End, ObserveEnd},
};
use towline_retry::RetryLayer;
use towline_testkit::{HeldClock, MockProvider, Reply, until};

use crate::support::request_to;

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test(start_paused = true)]
async fn ten_failed_answers_of_64_kib_use_one_connection() {
    let clock = HeldClock::hold();
    let limited = || Reply::status(429).body(vec![b'x'; 64 * 1024]);
    let provider = MockProvider::start_with((0..10).map(|_| limited())).await.unwrap();
    let drained = Arc::new(AtomicUsize::new(0));
    let ends = Arc::clone(&drained);
    let client = client().map_response(move |response| {
        let ends = Arc::clone(&ends);
        response.map(|body| {
            ObserveEnd::new(body, move |end: End<'_, hyper::Error>| {
                ends.fetch_add(usize::from(matches!(end, End::Complete)), Ordering::Relaxed);
            })
        })
    });
    let second = Duration::from_secs(1);
    let layer = RetryLayer::new().attempts(11).unwrap().without_budget().throttle_backoff(second, second).unwrap();
    let call = tokio::spawn(layer.layer(client).oneshot(request_to(&provider.url("/v1/messages"))));
    for failed in 1..=10 {
        provider.received(failed).await;
        until(|| drained.load(Ordering::Relaxed) == failed).await;
        clock.settle(10).await;
        clock.advance(second).await;
    }
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
    assert_eq!((provider.hits(), provider.connections()), (11, 1));
    assert!(provider.requests().iter().all(|request| request.text() == "{}" && request.header("x-api-key") == Some("k")));
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_at_once() {
    let refused = MockProvider::refused().unwrap();
    let layer = RetryLayer::new().attempts(2).unwrap().budget(towline_core::RetryBudget::new(0.1, 1, 0).unwrap());
    let error: Error = layer.layer(client()).oneshot(request_to(&refused.url("/"))).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect);
}

#[tokio::test(start_paused = true)]
async fn a_reset_connection_is_tried_again_after_a_wait() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start_with([Reply::reset(), Reply::ok().text("hello")]).await.unwrap();
    let call = tokio::spawn(RetryLayer::new().layer(client()).oneshot(request_to(&provider.url("/"))));
    provider.answered(1).await;
    while provider.hits() < 2 {
        clock.advance(Duration::from_millis(1)).await;
    }
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}
