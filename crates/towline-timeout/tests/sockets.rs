//! Over real sockets: what the provider sees of a limit that passed.

mod common;

use bytes::Bytes;
use common::*;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use towline_classify::ClassifyLayer;
use towline_core::{FailureKind, Phase};
use towline_testkit::{HeldClock, MockProvider, Reply, Step, until};
use towline_timeout::{Timeout, TimeoutLayer};

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn client() -> Timeout<HttpClient> {
    TimeoutLayer::attempt().layer(Client::builder(TokioExecutor::new()).build_http())
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_silent_before_the_head_sees_the_call_cancelled() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start_with([Reply::silence(), Reply::ok().in_head(Step::Hang)]).await.unwrap();
    for nth in 1..=2 {
        let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
        let call = tokio::spawn(client().oneshot(request));
        provider.received(nth).await;
        clock.advance(secs(119)).await;
        clock.settle(3).await;
        assert!(!call.is_finished());
        clock.advance(secs(1)).await;
        assert_eq!(call.await.unwrap().unwrap_err().kind(), HEAD);
        provider.cancelled(nth).await;
    }
    assert_eq!((provider.cancellations(), provider.answers()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_stalls_within_the_body_sees_the_call_cancelled() {
    let clock = HeldClock::hold();
    let stall = Reply::stream().event("one").then(Step::Hang);
    let provider = MockProvider::start_with([stall]).await.unwrap();
    let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
    let mut body = client().oneshot(request).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: one\n\n");
    let mut waiting = tokio_test::task::spawn(body.frame());
    assert!(waiting.poll().is_pending());
    clock.advance(secs(59)).await;
    assert!(waiting.poll().is_pending());
    clock.advance(secs(1)).await;
    until(|| waiting.is_woken()).await;
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), IDLE);
    provider.cancelled(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_sends_only_pings_after_its_first_content_sees_the_call_cancelled() {
    const TEXT: &str = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}";
    let clock = HeldClock::hold();
    let pings = (0..100).fold(Reply::stream().event(TEXT), |reply, _| reply.wait(secs(10)).chunk(": ping\n\n"));
    let provider = MockProvider::start_with([pings]).await.unwrap();
    let client = ClassifyLayer::new().layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
    let response = TimeoutLayer::attempt().layer(client).oneshot(request).await.unwrap();
    let reading = tokio::spawn(read(response.into_body()));
    clock.settle(20).await;
    for _ in 0..17 {
        clock.advance(secs(10)).await;
        clock.settle(20).await;
        assert!(!reading.is_finished());
    }
    clock.advance(secs(11)).await;
    clock.settle(20).await;
    assert!(reading.is_finished());
    assert_eq!(reading.await.unwrap().1, Err(FailureKind::Timeout(Phase::ContentIdle)));
    provider.cancelled(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_drips_is_cut_by_the_total_and_by_nothing_else() {
    let clock = HeldClock::hold();
    let drip = Reply::ok().text("x".repeat(1000)).drip(secs(1));
    let provider = MockProvider::start_with([drip]).await.unwrap();
    let layer = TimeoutLayer::attempt().total(secs(10)).unwrap();
    let client = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
    let response = client.oneshot(request).await.unwrap();
    let reading = tokio::spawn(read(response.into_body()));
    for _ in 0..11 {
        clock.advance(secs(1)).await;
        clock.settle(20).await;
    }
    let (bytes, end) = reading.await.unwrap();
    assert_eq!(end, Err(TOTAL));
    assert!((5..=10).contains(&bytes), "{bytes}");
    provider.cancelled(1).await;
}

#[tokio::test]
async fn an_answer_in_time_is_handed_on_whole_and_its_connection_is_used_again() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::ok().json("{\"answer\":42}"));
    let client = client();
    for _ in 0..3 {
        let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"answer\":42}");
    }
    assert_eq!(provider.connections(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_timeout() {
    let provider = MockProvider::start_with([Reply::ok().json("{\"answer\":42}").at(5, Step::Close)]).await.unwrap();
    let request = http::Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
    let response = client().oneshot(request).await.unwrap();
    assert_eq!(read(response.into_body()).await.1, Err(FailureKind::StreamBroken));
}
