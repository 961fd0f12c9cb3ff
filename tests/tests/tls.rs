//! What a rejected certificate and a peer that does not speak TLS look like: never retried, whichever library says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

use std::{error::Error as _, sync::Arc};

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer, version},
};
use tower::ServiceExt;
use towline::{ConnectTimeout, Error, FailureKind, Phase, RetryVerdict};
use towline_testkit::{MockProvider, Reply};
use towline_tests::{Body, post};

type Https = hyper_rustls::HttpsConnector<HttpConnector>;

/// The connector of a client that trusts nobody.
fn https() -> Https {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build()
}

async fn failure_of(uri: String) -> Error {
    failure_with(https(), uri).await
}

async fn failure_with<C>(connector: C, uri: String) -> Error
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    Error::from(towline::BoxError::from(client.oneshot(post(uri)).await.unwrap_err()))
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_never_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.is_err()
    });

    let error = failure_of(format!("https://localhost:{}/", address.port())).await;

    assert_eq!((error.kind(), error.failure().retry), (FailureKind::Connect, RetryVerdict::Never), "{:?}", error.source());
    assert!(server.await.unwrap(), "the handshake failed on the other side too");
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_never_retried() {
    let provider = MockProvider::start().await.unwrap();
    provider.on_accept([towline_testkit::Step::Bytes("HTTP/1.1 400 Bad Request\r\n\r\n".into()), towline_testkit::Step::Hang]);
    provider.otherwise(Reply::not_http());
    let error = failure_of(format!("https://localhost:{}/", provider.address().port())).await;
    assert_eq!((error.kind(), error.failure().retry), (FailureKind::Connect, RetryVerdict::Never), "{:?}", error.source());
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_a_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // It takes the connection, and what is said on it, and says nothing.
    let peer = tokio::spawn(async move { listener.accept().await.unwrap() });
    let connector = ConnectTimeout::new(https()).limit(std::time::Duration::from_millis(50)).unwrap();
    let error = failure_with(connector, format!("https://localhost:{port}/")).await;
    let failure = error.failure();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Timeout(Phase::Connect), RetryVerdict::Backoff),
        "{:?}",
        error.source()
    );
    assert!(peer.await.is_ok(), "it was reached");
}
