//! What becomes of a request, in paused time.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod common;

use std::{
    future::Future,
    io,
    task::{Context, Waker},
    time::Duration,
};

use common::*;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_call::CallLayer;
use towline_core::{Attempt, BoxError, Call, Error, Facts, FailureKind};
use towline_testkit::{Probe, ScriptedBody};

#[tokio::test]
async fn the_call_is_in_the_request_and_in_the_response() {
    let inner = service_fn(|request: Sent| async move {
        let call = Call::of(request.extensions()).unwrap();
        call.record(Attempt::new(call.began(), call.began()));
        assert_eq!(call.facts().model.as_deref(), Some("gpt-5"));
        Ok::<_, BoxError>(Response::new(()))
    });
    let request = chat(full(r#"{"model":"gpt-5","messages":[]}"#));
    let response = CallLayer::new().layer(inner).oneshot(request).await.unwrap();
    let call = Call::of(response.extensions()).unwrap();
    assert_eq!((call.attempts(), call.remaining(call.began())), (1, Some(secs(600))));
}

#[tokio::test]
async fn texts_are_counted_as_the_layer_was_told() {
    let words = |text: &str| text.split_whitespace().count() as u64;
    let inner = service_fn(|_: Sent| async { Ok::<_, BoxError>(Response::new(())) });
    let request = chat(full(r#"{"model":"gpt-5","prompt":"one two three four five"}"#));
    let response = CallLayer::new().count_tokens(words).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(Call::of(response.extensions()).unwrap().facts().input_tokens, 5);
}

#[tokio::test]
async fn an_error_carries_the_call() {
    let inner = service_fn(|_: Sent| async { Err::<Response<()>, _>(io::Error::from(io::ErrorKind::ConnectionRefused)) });
    let error = CallLayer::new().layer(inner).oneshot(chat(full(""))).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect);
    assert!(error.call().is_some());
}

#[tokio::test]
async fn a_stream_has_more_time_unless_told_otherwise() {
    async fn time(layer: CallLayer, body: &'static str) -> Option<u64> {
        let response = layer.layer(service_fn(echo)).oneshot(chat(full(body))).await.unwrap();
        let call = Call::of(response.extensions()).unwrap();
        call.remaining(call.began()).map(|time| time.as_secs())
    }
    let (stream, document) = (r#"{"stream":true}"#, "{}");
    assert_eq!(time(CallLayer::new(), stream).await, Some(3600));
    assert_eq!(time(CallLayer::new(), document).await, Some(600));
    let both = CallLayer::new().deadline(secs(30)).unwrap();
    assert_eq!((time(both, stream).await, time(both, document).await), (Some(30), Some(30)));
    let own = both.stream_deadline(secs(90)).unwrap();
    assert_eq!((time(own, stream).await, time(own, document).await), (Some(90), Some(30)));
    assert_eq!(time(own.without_deadline(), stream).await, None);
    assert_eq!(time(CallLayer::new().deadline(Duration::MAX).unwrap(), document).await, None);
}

#[tokio::test]
async fn the_headers_say_what_is_sent() {
    let request = Request::post("http://host/v1/messages")
        .header("transfer-encoding", "chunked")
        .header("accept-encoding", "gzip, br")
        .body(frames(["a", "b"]));
    let response = CallLayer::new().layer(service_fn(echo)).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["accept-encoding"], "identity");
    assert_eq!(response.body().size_hint().exact(), Some(2));
}

async fn ends<B, F, Fut, R>(request: Request<B>, inner: F) -> (FailureKind, u64)
where
    B: Body,
    B::Error: Into<BoxError>,
    F: FnMut(Sent) -> Fut + Clone,
    Fut: Future<Output = Result<Response<R>, BoxError>>,
{
    let began = Instant::now();
    let end = CallLayer::new().deadline(secs(30)).unwrap().layer(service_fn(inner)).oneshot(request).await;
    (end.err().unwrap().kind(), began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_reading_and_the_waiting_for_the_head() {
    assert_eq!(ends(chat(ScriptedBody::new().hang()), must_not_be_called).await, (FailureKind::DeadlineExceeded, 30));
    assert_eq!(ends(chat(full("")), never).await, (FailureKind::DeadlineExceeded, 30));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_readying() {
    let (busy, report) = Probe::new(service_fn(must_not_be_called));
    report.set_ready(false);
    let began = Instant::now();
    let mut service = CallLayer::new().deadline(secs(30)).unwrap().layer(busy);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Service::<Request<ScriptedBody>>::poll_ready(&mut service, &mut cx).is_ready(), "it never waits outside a call");
    let error = service.call(chat(full(""))).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (FailureKind::DeadlineExceeded, 30));
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_waited_for_by_its_own_deadline() {
    let began = Instant::now();
    let error: Error = CallLayer::new().layer(service_fn(never)).oneshot(chat(full(r#"{"stream":true}"#))).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (FailureKind::DeadlineExceeded, 3600));
}

#[tokio::test(start_paused = true)]
async fn a_call_within_a_call_is_the_same_one_with_the_shorter_deadline() {
    let deep = CallLayer::new().deadline(secs(90)).unwrap().layer(service_fn(echo));
    for (outer, expected) in [(30, 30), (120, 90)] {
        let outer = CallLayer::new().deadline(secs(outer)).unwrap();
        let inner = service_fn({
            let deep = deep.clone();
            move |request: Sent| {
                let (deep, own) = (deep.clone(), Call::of(request.extensions()).unwrap().clone());
                async move {
                    let response = deep.oneshot(request).await?;
                    let call = Call::of(response.extensions()).unwrap();
                    call.record(Attempt::new(call.began(), call.began()));
                    assert_eq!((own.attempts(), call.remaining(call.began())), (1, Some(secs(expected))));
                    Ok::<_, BoxError>(response)
                }
            }
        });
        let response = outer.layer(inner).oneshot(chat(full(""))).await.unwrap();
        assert_eq!(Call::of(response.extensions()).unwrap().attempts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_has_passed_is_not_begun() {
    let now = Instant::now();
    let mut request = chat(ScriptedBody::new().hang());
    request.extensions_mut().insert(Call::new(Facts::default(), now, Some(now)));
    assert_eq!(ends(request, must_not_be_called).await, (FailureKind::DeadlineExceeded, 0));
}
