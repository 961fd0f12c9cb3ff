//! Over real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use support::told;
use tower::{Layer, Service, ServiceExt};
use towline_classify::{ClassifiedBody, Classify, ClassifyLayer};
use towline_core::{Error, FailureKind, StreamEnd, StreamHandle};
use towline_testkit::{Gate, MockProvider, Reply, Step};

type Client_ = Classify<Client<HttpConnector, Full<Bytes>>>;

fn client() -> Client_ {
    ClassifyLayer::new().layer(Client::builder(TokioExecutor::new()).build_http())
}

async fn ask(service: &mut Client_, provider: &MockProvider) -> Result<Response<ClassifiedBody<Incoming>>, Error> {
    let request = Request::post(provider.url("/v1/chat/completions")).body(Full::from("{}")).unwrap();
    service.ready().await?.call(request).await
}

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#;
const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

#[tokio::test]
async fn ten_429s_with_64_kib_use_one_connection_though_only_their_outcome_is_looked_at() {
    let error = format!(r#"{{"error":{{"message":"{}","type":"insufficient_quota"}}}}"#, "x".repeat(64 * 1024 - 60));
    assert!(error.len() <= 64 * 1024);
    let provider = MockProvider::start_with((0..10).map(|_| Reply::status(429).json(error.clone()))).await.unwrap();
    let mut service = client();
    for _ in 0..10 {
        let answer = ask(&mut service, &provider).await.unwrap();
        assert_eq!(told(&answer), Some(FailureKind::QuotaExhausted));
    }
    assert_eq!((provider.hits(), provider.connections()), (10, 1));
}

#[tokio::test]
async fn an_error_that_is_not_read_to_its_end_leaks_no_connection() {
    let long = "x".repeat(1024 * 1024);
    let provider =
        MockProvider::start_with([Reply::status(500).text(long.clone()), Reply::status(500).text(long.clone()), Reply::ok()])
            .await
            .unwrap();
    let mut service = client();
    let whole = ask(&mut service, &provider).await.unwrap();
    assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), long, "whole and in order, for who wants it");
    let dropped = ask(&mut service, &provider).await.unwrap();
    drop(dropped);
    assert_eq!(ask(&mut service, &provider).await.unwrap().status(), 200);
    assert_eq!(provider.connections(), 2, "the one that was left was closed, the other used again");
}

#[tokio::test]
async fn an_error_as_first_event_is_a_failure() {
    let provider = MockProvider::start_with([Reply::stream().named_event("error", OVERLOADED)]).await.unwrap();
    let answer = ask(&mut client(), &provider).await.unwrap();
    assert_eq!((answer.status().as_u16(), told(&answer)), (200, Some(FailureKind::Overloaded)));
}

#[tokio::test]
async fn tokens_arrive_as_they_are_sent() {
    let gate = Gate::new();
    let reply = Reply::stream().event(TEXT).gate(&gate).event(FINISH).event("[DONE]");
    let provider = MockProvider::start_with([reply]).await.unwrap();
    let answer = ask(&mut client(), &provider).await.unwrap();
    let handle = StreamHandle::of(answer.extensions()).unwrap().clone();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, format!("data: {TEXT}\n\n"), "though the provider has not gone on");
    assert_eq!(handle.end(), None);
    gate.open();
    body.collect().await.unwrap();
    assert_eq!(handle.end(), Some(StreamEnd::Complete));
}

#[tokio::test]
async fn a_stream_that_dies_or_is_cut_fails_for_its_reader() {
    for last in [None, Some(Step::Close), Some(Step::Reset)] {
        let reply = Reply::stream().event(TEXT).event(TEXT);
        let cut = last.is_none();
        let reply = last.into_iter().fold(reply, Reply::then);
        let provider = MockProvider::start_with([reply]).await.unwrap();
        let Ok(answer) = ask(&mut client(), &provider).await else { continue };
        let handle = StreamHandle::of(answer.extensions()).unwrap().clone();
        if told(&answer).is_some() {
            continue; // The reset overtook what was sent before it.
        }
        let error = answer.into_body().collect().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::StreamBroken);
        assert_eq!(matches!(handle.end(), Some(StreamEnd::Cut)), cut);
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_as_such() {
    let refused = MockProvider::refused().unwrap();
    let request = Request::post(refused.uri()).body(Full::default()).unwrap();
    let error = client().oneshot(request).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect);
}
