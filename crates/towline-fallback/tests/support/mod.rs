//! Requests, replies, and a client that asks them of no network.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a helper of tests fails by panicking, and not every test uses each"
)]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tower::{Layer, ServiceExt};
use towline_core::{Error, Failure, FailureKind, Target};
use towline_fallback::FallbackLayer;

pub type Reply = Result<Response<&'static str>, Error>;

pub fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| Target::new(name, format!("http://{name}")).unwrap()).collect()
}

pub fn status(status: u16) -> Reply {
    Ok(Response::builder().status(status).body("").unwrap())
}

pub fn limited(after: &str) -> Reply {
    Ok(Response::builder().status(429).header("retry-after", after).body("").unwrap())
}

pub fn refused(kind: FailureKind) -> Reply {
    Err(Error::new(Failure::new(kind)))
}

pub fn request() -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions").body(Full::from("{}")).unwrap()
}

/// Sends one request through `layer`; returns the answer and the hosts that were asked, in order.
pub async fn ask(
    layer: &FallbackLayer,
    request: Request<Full<Bytes>>,
    reply: impl Fn(&str) -> Reply + Clone + Send + 'static,
) -> (Reply, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = reply(&host);
        log.lock().push(host);
        async move { answer }
    });
    let answer = layer.layer(inner).oneshot(request).await;
    let asked = asked.lock().clone();
    (answer, asked)
}

/// An answer with a failure of this kind on it, as classify writes it.
pub fn failed(failure: Failure) -> Reply {
    let mut answer = Response::builder().status(400).body("the provider's own words").unwrap();
    answer.extensions_mut().insert(towline_core::Outcome::Failure(failure));
    Ok(answer)
}

pub fn kept_back(kind: FailureKind, secs: u64) -> Reply {
    Err(Error::new(Failure::new(kind).retry_after(std::time::Duration::from_secs(secs))))
}

pub fn with_call(call: &towline_core::Call) -> Request<Full<Bytes>> {
    let mut request = request();
    request.extensions_mut().insert(call.clone());
    request
}
