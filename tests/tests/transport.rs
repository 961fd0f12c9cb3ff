//! What the transports' own errors say, over real sockets: hyper-util's client, and reqwest's behind the adapter.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Service, ServiceExt};
use towline::{BoxError, Error, FailureKind, Origin, Phase, RetryVerdict};
use towline_testkit::{Gate, MockProvider, Reply, Step, Unanswered};
use towline_tests::{Body, hyper, post, reqwest};

/// The failure of an attempt whose head never came.
async fn head<S, R>(client: S, request: Request<Body>) -> Error
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    match client.oneshot(request).await {
        Ok(response) => panic!("answered with {}", response.status()),
        Err(error) => Error::from(error.into()),
    }
}

/// The failure of a body that broke after a good head.
async fn body<S, R>(client: S, request: Request<Body>) -> Error
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let response = client.oneshot(request).await.map_err(|e| Error::from(e.into())).unwrap();
    assert_eq!(response.status(), 200);
    match response.into_body().collect().await {
        Ok(whole) => panic!("the body came whole: {:?}", whole.to_bytes()),
        Err(error) => Error::from_body(error),
    }
}

#[tokio::test]
async fn a_refused_connection_was_never_sent() {
    let refused = MockProvider::refused().unwrap();
    for error in [head(hyper(), post(refused.url("/"))).await, head(reqwest(), post(refused.url("/"))).await] {
        assert_eq!((error.kind(), error.failure().retry), (FailureKind::Connect, RetryVerdict::Backoff));
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_was_never_sent() {
    for error in
        [head(hyper(), post("http://no-such-host.invalid/")).await, head(reqwest(), post("http://no-such-host.invalid/")).await]
    {
        assert_eq!(error.kind(), FailureKind::Connect, "{:?}", error.source());
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_head_leaves_the_fate_unknown() {
    for reply in [Reply::reset, Reply::close, || Reply::status(200).in_head(Step::Close)] {
        let provider = MockProvider::start().await.unwrap();
        provider.otherwise(reply());
        for error in [head(hyper(), post(provider.url("/"))).await, head(reqwest(), post(provider.url("/"))).await] {
            assert_eq!(
                (error.kind(), error.failure().origin),
                (FailureKind::Transport, Origin::Upstream),
                "{:?}",
                error.source()
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::not_http());
    for error in [head(hyper(), post(provider.url("/"))).await, head(reqwest(), post(provider.url("/"))).await] {
        assert_eq!(error.kind(), FailureKind::Malformed, "{:?}", error.source());
    }
}

#[tokio::test]
async fn a_body_cut_short_is_a_broken_stream() {
    let cut = || Reply::status(200).body("0123456789").at(5, Step::Close);
    let chunked = || Reply::stream().chunk("01234").then(Step::Close);
    for reply in [cut as fn() -> Reply, chunked] {
        let provider = MockProvider::start().await.unwrap();
        provider.otherwise(reply());
        for error in [body(hyper(), post(provider.url("/"))).await, body(reqwest(), post(provider.url("/"))).await] {
            assert_eq!(error.kind(), FailureKind::StreamBroken, "{:?}", error.source());
        }
    }
}

#[tokio::test]
async fn a_body_reset_after_it_began_is_a_broken_stream() {
    for client in 0..2 {
        let provider = MockProvider::start().await.unwrap();
        let gate = Gate::new();
        provider.otherwise(Reply::stream().chunk("01234").gate(&gate).then(Step::Reset));
        let kind = match client {
            0 => after_first_frame(hyper().oneshot(post(provider.url("/"))).await.unwrap(), &gate).await,
            _ => after_first_frame(reqwest().oneshot(post(provider.url("/"))).await.unwrap(), &gate).await,
        };
        assert_eq!(kind, FailureKind::StreamBroken);
    }
}

/// Reads one frame, lets the provider go on, and tells how the body failed after it.
async fn after_first_frame<R>(response: Response<R>, gate: &Gate) -> FailureKind
where
    R: http_body::Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    gate.open();
    Error::from_body(body.frame().await.unwrap().err().unwrap()).kind()
}

#[tokio::test]
async fn a_scheme_that_the_connector_does_not_speak_is_the_callers_mistake() {
    let error = head(hyper(), post("https://127.0.0.1:1/")).await;
    let failure = error.failure();
    assert_eq!((failure.kind, failure.retry), (FailureKind::InvalidRequest, RetryVerdict::Never), "{:?}", error.source());
}

#[tokio::test]
async fn a_relative_uri_is_the_callers_mistake() {
    for error in [head(hyper(), post("/v1/messages")).await, head(reqwest(), post("/v1/messages")).await] {
        let failure = error.failure();
        assert_eq!(
            (failure.kind, failure.origin, failure.retry),
            (FailureKind::InvalidRequest, Origin::Caller, RetryVerdict::Never)
        );
    }
}

#[tokio::test]
async fn a_limit_of_reqwests_own_is_a_timeout() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::silence());
    let client =
        towline::Reqwest::from_builder(::reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(50))).unwrap();
    let error = head(client, post(provider.url("/"))).await;
    assert_eq!(error.kind(), FailureKind::Timeout(Phase::Head));
}

#[tokio::test]
async fn no_error_of_reqwest_shows_a_key_that_stood_in_the_query() {
    let refused = MockProvider::refused().unwrap();
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::status(200).body("0123456789").at(5, Step::Close));
    let errors = [
        head(reqwest(), post(refused.url("/?key=s3cret"))).await,
        body(reqwest(), post(provider.url("/?key=s3cret"))).await,
        head(reqwest(), post("/v1?key=s3cret")).await,
    ];
    for error in errors {
        let mut shown = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(link) = source {
            shown += &format!("\n{link} {link:?}");
            source = link.source();
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockProvider::start().await.unwrap();
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::status(307).header("location", elsewhere.url("/")));
    let mut request = post(provider.url("/"));
    request.headers_mut().insert("x-api-key", "s3cret".parse().unwrap());
    let response = reqwest().oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), elsewhere.hits()), (307, 0));
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_is_a_connect_timeout() {
    let nobody = Unanswered::bind().unwrap();
    let limit = Duration::from_millis(50);
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(limit));
    let hyper = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let reqwest = towline::Reqwest::from_builder(::reqwest::Client::builder().no_proxy().connect_timeout(limit)).unwrap();
    for error in [head(hyper, post(nobody.url("/"))).await, head(reqwest, post(nobody.url("/"))).await] {
        assert_eq!(error.kind(), FailureKind::Timeout(Phase::Connect), "{:?}", error.source());
    }
}
