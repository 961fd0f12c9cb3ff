//! The edge of an axum app: errors become responses, and the stack is `Infallible`.
//!
//! [`EdgeLayer`] goes outermost. It gives back axum's responses, whatever body the stack answers with, and turns each
//! [`Error`](towline_core::Error) into a response in the dialect that the caller speaks:
//!
//! | failure | status |
//! |---|---|
//! | the caller's own (`InvalidRequest`, `Untranslatable`) | 400 |
//! | `PayloadTooLarge` | 413 |
//! | `RateLimited`, `LimitedLocally`, `QuotaExhausted`, `BudgetExhausted` | 429 |
//! | `CircuitOpen`, `Overloaded` | 503 |
//! | `DeadlineExceeded`, `Timeout` | 504 |
//! | anything else that happened on the way to a provider | 502 |
//!
//! `Retry-After` is set, in whole seconds rounded up, wherever the failure names a wait. The message names the attempts of the call, by
//! target, kind and status; never a provider's text or a key.
//!
//! What a provider itself answered, an error included, passes as it is, but for headers that speak of the provider's own connection and address: hop-by-hop
//! headers, `set-cookie`, `alt-svc`, `strict-transport-security`. With [`EdgeLayer::retell`] only those of its errors pass that tell
//! the caller something about the request, and all others are told as ours are.
//!
//! A stream of server-sent events that fails after its beginning ends with an event that says so in the caller's dialect (OpenAI: `data:` with an
//! `error`, and no `[DONE]`; Anthropic and Responses: `event: error`), after the last whole event. Any other body that fails fails.
//!
//! ```
//! use axum::{Router, body::Body};
//! use towline::axum::EdgeLayer;
//! use towline_core::{Error, Failure, FailureKind};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let stack = tower::service_fn(|_: http::Request<Body>| async {
//!     Err::<http::Response<Body>, _>(Error::new(Failure::new(FailureKind::CircuitOpen).retry_after(std::time::Duration::from_millis(1200))))
//! });
//! let app = Router::new().route_service("/v1/messages", ServiceBuilder::new().layer(EdgeLayer::new()).service(stack));
//! let response = app.oneshot(http::Request::post("/v1/messages").body(Body::empty()).unwrap()).await.unwrap();
//! assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "2"));
//! # });
//! ```

mod edge;
mod error;
mod stream;
mod told;

pub use edge::{Edge, EdgeLayer, ResponseFuture};
pub use error::{error_response, refusal, status_of};
