//! Limits on connecting, over real sockets and without.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod common;

use std::{convert::Infallible, future::pending, io, time::Duration};

use bytes::Bytes;
use common::*;
use http::Uri;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};
use towline_core::{Error, FailureKind, Phase, RetryVerdict};
use towline_testkit::{MockProvider, Probe, Reply, Unanswered};
use towline_timeout::{ConnectFuture, ConnectTimeout};

const fn send<T: Send>() {}
const fn unpin<T: Unpin>() {}
const _: () = {
    send::<ConnectTimeout<u8>>();
    send::<ConnectFuture<u8>>();
    unpin::<ConnectFuture<u8>>();
};

type Posted = http::Request<Full<Bytes>>;

fn post(uri: String) -> Posted {
    http::Request::post(uri).body(Full::from("{}")).unwrap()
}

fn client(limit: Duration) -> Client<ConnectTimeout<HttpConnector>, Full<Bytes>> {
    let connector = ConnectTimeout::new(HttpConnector::new()).limit(limit).unwrap();
    Client::builder(TokioExecutor::new()).build(connector)
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_was_never_sent_and_says_that_time_ran_out() {
    let nobody = Unanswered::bind().unwrap();
    let error = client(Duration::from_millis(50)).request(post(nobody.url("/"))).await.unwrap_err();
    let failure = Error::from(towline_core::BoxError::from(error)).failure().clone();
    assert_eq!((failure.kind, failure.retry), (FailureKind::Timeout(Phase::Connect), RetryVerdict::Backoff));
}

#[tokio::test]
async fn a_refusal_is_handed_on_as_it_is() {
    let refused = MockProvider::refused().unwrap();
    let error = client(secs(5)).request(post(refused.url("/"))).await.unwrap_err();
    assert_eq!(Error::from(towline_core::BoxError::from(error)).kind(), FailureKind::Connect);
}

#[tokio::test]
async fn a_connection_in_time_is_as_good_as_without_a_limit() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::ok().json("{}"));
    let client = client(secs(5));
    for _ in 0..3 {
        let response = client.request(post(provider.url("/"))).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
    }
    assert_eq!(provider.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_hangs_is_dropped_after_five_seconds() {
    let (probe, report) = Probe::new(service_fn(|_: Uri| pending::<Result<(), Infallible>>()));
    let mut connector = ConnectTimeout::new(probe);
    let began = Instant::now();
    let mut connecting = connector.ready().await.unwrap().call(Uri::default());
    let error = (&mut connecting).await.unwrap_err();
    assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
    assert_eq!((began.elapsed(), report.live(), report.dropped()), (secs(5), 0, 1), "though the future is still there");
    assert!(tokio_test::task::spawn(connecting).poll().is_pending());
    report.assert_clean();
}

#[test]
fn a_limit_of_zero_is_refused_by_name() {
    assert_eq!(ConnectTimeout::new(()).limit(Duration::ZERO).unwrap_err().field(), "limit");
}
