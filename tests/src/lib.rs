//! Helpers that the end-to-end tests share.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a helper of tests fails by panicking"
)]

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use towline::Reqwest;

mod got;

pub use got::{Got, ask, trail};

/// What most tests send.
pub type Body = Full<Bytes>;

/// hyper-util's client.
pub type Hyper = Client<HttpConnector, Body>;

/// hyper-util's client, without its own retries, so that each attempt is one of ours.
pub fn hyper() -> Hyper {
    Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http()
}

/// reqwest's client behind our adapter.
pub fn reqwest() -> Reqwest {
    Reqwest::from_builder(reqwest::Client::builder().no_proxy()).unwrap()
}

/// A small request to `uri`.
pub fn post(uri: impl AsRef<str>) -> Request<Body> {
    Request::post(uri.as_ref()).header("content-type", "application/json").body(Full::from(r#"{"model":"m"}"#)).unwrap()
}
