//! Services and bodies that more than one test file uses.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

use std::{
    future::{Ready, pending},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use towline_core::BoxError;
use towline_testkit::ScriptedBody;

pub(crate) type Sent = Request<Full<Bytes>>;

/// Answers with the body and the headers that it got.
pub(crate) async fn echo(request: Sent) -> Result<Response<Full<Bytes>>, BoxError> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(body);
    *response.headers_mut() = parts.headers;
    Ok(response)
}

pub(crate) async fn never(_: Sent) -> Result<Response<()>, BoxError> {
    pending().await
}

pub(crate) fn must_not_be_called(_: Sent) -> Ready<Result<Response<()>, BoxError>> {
    panic!("it was sent")
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn chat<B>(body: B) -> Request<B> {
    Request::post("http://host/v1/chat/completions").body(body).unwrap()
}

pub(crate) fn full(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

/// A body of these frames, which tells no length.
pub(crate) fn frames<T: Into<Bytes>>(frames: impl IntoIterator<Item = T>) -> ScriptedBody {
    frames.into_iter().fold(ScriptedBody::new(), ScriptedBody::data)
}
