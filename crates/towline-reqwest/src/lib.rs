//! `reqwest::Client` as a `Service<http::Request<B>>`, safe to put layers on.
//!
//! reqwest's own tower service takes `reqwest::Request`, which no HTTP middleware speaks. [`Reqwest`] takes `http::Request` with any body that is
//! `Send`, and answers with `http::Response` without buffering it. What it takes care of:
//!
//! - **Redirects are off** in a client made by [`Reqwest::from_builder`]: reqwest strips `authorization` when it follows one to another
//!   host, but carries `x-api-key` along. So is its built-in retry of protocol errors, since attempts are the layers' to count.
//! - A `Full<Bytes>` body is handed on as `Bytes`, so that it is sent with its length; any other body is streamed with the length that it tells.
//! - Readiness is forwarded, so it may stand over other layers of `Service<reqwest::Request>`.
//! - A relative URI is refused with an error that says so (`InvalidRequest`, of the caller), and nothing is sent. axum hands on such URIs: put a
//!   `FallbackLayer` with a target above, or set the URI.
//! - Errors are [`towline_core::Error`]s that tell what failed; their sources had their URLs removed, since a URL may hold a key (`?key=`).
//!
//! Of reqwest's defaults it keeps the proxies of the environment and the idle connections of its pool. Its `timeout` counts the body too and
//! cuts healthy streams: leave it unset and use `TimeoutLayer`.
//!
//! Dropping the future or the response's body cancels the request.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::ServiceExt;
//! use towline_reqwest::Reqwest;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let provider = towline_testkit::MockProvider::start().await.unwrap();
//! # provider.otherwise(towline_testkit::Reply::status(200).text("hello"));
//! # let url = provider.url("/v1/models");
//! let client = Reqwest::from_builder(reqwest::Client::builder().no_proxy())?;
//! let request = http::Request::get(url).body(Full::<Bytes>::default())?;
//! let response = client.oneshot(request).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok::<(), towline_core::BoxError>(()) }).unwrap();
//! ```

mod body;
mod error;
mod service;

pub use body::ResponseBody;
pub use error::RelativeUri;
pub use service::{Reqwest, ResponseFuture};
