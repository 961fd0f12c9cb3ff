//! Decides once, next to the transport, what became of a call to an LLM provider.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use bytes::Bytes;
//! use towline_classify::ClassifyLayer;
//! use towline_core::{FailureKind, Outcome, RetryVerdict};
//! use tower::{Layer, ServiceExt};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! const SPENT: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
//! let provider = tower::service_fn(|_: Request<Full<Bytes>>| async {
//!     Response::builder().status(429).header("content-type", "application/json").body(Full::from(SPENT))
//! });
//! let answer = ClassifyLayer::new().layer(provider).oneshot(Request::new(Full::default())).await.unwrap();
//!
//! // A 429, and yet no retry will help: the money is spent.
//! let Some(Outcome::Failure(failure)) = answer.extensions().get() else { panic!("not classified") };
//! assert_eq!((failure.kind, failure.retry), (FailureKind::QuotaExhausted, RetryVerdict::Never));
//! // The answer itself is handed on whole.
//! assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), SPENT);
//! # });
//! ```

mod body;
mod future;
mod hold;
mod judge;
mod layer;
mod look;
mod plan;
mod reader;
mod service;
mod watch;

pub use body::ClassifiedBody;
pub use future::ResponseFuture;
pub use layer::ClassifyLayer;
pub use service::Classify;
