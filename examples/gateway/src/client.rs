//! The client: HTTP/1.1, and TLS by Mozilla's roots.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::Service;
use towline::ConnectTimeout;

/// That of the thread which a call is on. Each has its own, so that a call and its connection to a provider are never on two threads, which would
/// have to wake each other.
#[derive(Clone, Copy)]
pub(crate) struct Client;

type Pooled = legacy::Client<ConnectTimeout<HttpsConnector<HttpConnector>>, Full<Bytes>>;

thread_local! {
    static OF_THREAD: Pooled = pooled();
}

fn pooled() -> Pooled {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(std::time::Duration::from_secs(60)));
    let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
    legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(ConnectTimeout::new(https))
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    /// Always ready: it makes a connection where none is idle.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> legacy::ResponseFuture {
        OF_THREAD.with(|client| client.request(request))
    }
}
