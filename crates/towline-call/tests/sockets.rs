//! Over real sockets: what the provider gets.

mod common;

use axum::body::Body;
use common::*;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use towline_call::CallLayer;
use towline_core::{Call, Dialect, FailureKind};
use towline_testkit::{HeldClock, MockProvider, Reply};

#[tokio::test]
async fn a_chunked_upload_arrives_with_its_length_and_asks_for_a_plain_answer() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::ok().json("{}"));
    let client = CallLayer::new().layer(Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>());
    for stale in [("transfer-encoding", "chunked"), ("content-length", "3")] {
        let upload = frames([r#"{"model":"#, r#""gpt-5"}"#]);
        let request = Request::post(provider.url("/v1/responses")).header(stale.0, stale.1).header("accept-encoding", "gzip");
        let response = client.clone().oneshot(request.body(Body::new(upload)).unwrap()).await.unwrap();
        let facts = Call::of(response.extensions()).unwrap().facts();
        assert_eq!((facts.dialect, facts.model.as_deref()), (Some(Dialect::OpenAiResponses), Some("gpt-5")));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
    }
    for received in provider.requests() {
        assert_eq!(received.text(), r#"{"model":"gpt-5"}"#);
        assert_eq!((received.header("content-length"), received.header("transfer-encoding")), (Some("17"), None));
        assert_eq!(received.header("accept-encoding"), Some("identity"));
    }
    assert_eq!((provider.hits(), provider.connections()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_sees_the_call_cancelled_at_its_deadline() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start_with([Reply::silence()]).await.unwrap();
    let client = CallLayer::new().layer(Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>());
    let request = Request::post(provider.url("/v1/messages")).body(Body::from("{}")).unwrap();
    let call = tokio::spawn(client.oneshot(request));
    provider.received(1).await;
    clock.advance(secs(600)).await;
    let error = call.await.unwrap().unwrap_err();
    assert!(error.kind() == FailureKind::DeadlineExceeded && error.call().is_some());
    provider.cancelled(1).await;
}
