//! Tests for stacks of tower layers, over real sockets and without sleeping.
//!
//! - [`MockProvider`]: an HTTP/1.1 server on loopback that answers by a script of [`Reply`]s, misbehaves on the wire wherever
//!   it is told to, and remembers what it was asked.
//! - [`Answer`] and [`ProviderError`]: what a provider says, in the shape of each [`Dialect`], streamed or whole
//!   ([`Reply::stream_of`], [`Reply::error_of`], [`MockProvider::speak`]).
//! - [`Fault`]: sixteen ways in which providers are known to fail, each a primary and a fallback, ready to be ridden out.
//! - [`ChaosLayer`]: a layer that injects failures, waits and broken bodies beneath a stack, by probability or count.
//! - [`HeldClock`]: tokio's paused clock, made to stand still while bytes are under way.
//! - [`Probe`]: a service wrapper that records breaches of tower's contract by the layers above it.
//! - [`ScriptedBody`]: a body that yields, waits, hangs and fails by script; [`counted`] counts the polls of any future.
//! - [`Gate`]: an event that a test opens, in any of these scripts.
//!
//! Nothing here knows the layers of towline, only the words that they share: it serves any tower stack and any HTTP client.
//!
//! # Example
//!
//! A client that tries again after a 429 and a reset connection:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), towline_testkit::BoxError> {
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use towline_testkit::{MockProvider, Reply};
//!
//! let provider = MockProvider::start().await?;
//! provider.script([
//!     Reply::status(429).header("retry-after", "2").json(r#"{"error":{"message":"slow down"}}"#),
//!     Reply::reset(),
//!     Reply::sse([r#"{"delta":"Hel"}"#, r#"{"delta":"lo"}"#, "[DONE]"]),
//! ]);
//!
//! let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let request = || Request::post(provider.url("/v1/chat/completions")).body(Full::from(r#"{"stream":true}"#));
//!
//! let limited = client.request(request()?).await?;
//! assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
//! assert_eq!(limited.headers()["retry-after"], "2");
//! limited.into_body().collect().await?;
//!
//! assert!(client.request(request()?).await.is_err(), "the connection was reset");
//!
//! let answer = client.request(request()?).await?.into_body().collect().await?.to_bytes();
//! assert_eq!(answer, "data: {\"delta\":\"Hel\"}\n\ndata: {\"delta\":\"lo\"}\n\ndata: [DONE]\n\n");
//!
//! assert_eq!(provider.hits(), 3);
//! assert_eq!(provider.connections(), 2, "the reset one had to be replaced");
//! assert_eq!(provider.requests()[0].text(), r#"{"stream":true}"#);
//! assert_eq!(provider.remaining(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Time and events
//!
//! In a test without sockets use `#[tokio::test(start_paused = true)]` alone. Over sockets, where time need not move, leave the
//! clock as it is and order things with [`Gate`]s and the provider's events. Over sockets, where a time limit or a wait is
//! under test, pause the clock, hold it with a [`HeldClock`] and advance it when an event says that the wait has begun, or
//! [drive](HeldClock::drive) it in small steps.
//!
//! The crate turns on tokio's `test-util`, so it belongs in `[dev-dependencies]`.
//!
//! # What it does not do
//!
//! No TLS, no HTTP/2, no pipelining of replies, no trailers, no matching of requests to replies other than by order or by
//! a closure ([`MockProvider::respond_with`]).
//!
//! # Panics
//!
//! [`ProbeReport::assert_clean`] panics where a test is to fail. [`HeldClock`], [`Refused::listen`] and starting a provider panic
//! outside a tokio runtime, and advancing a clock that is not paused does. Nothing else panics.

mod answer;
mod body;
mod chaos;
mod clock;
mod connection;
mod counter;
mod dialect;
mod faults;
mod gate;
mod polls;
mod probe;
mod provider;
mod provider_error;
mod received;
mod refused;
mod reply;
mod request;
mod state;
mod step;
mod unanswered;
mod wire;

pub use answer::Answer;
pub use body::{BodyReport, ScriptedBody};
pub use chaos::{Chaos, ChaosBody, ChaosCounts, ChaosFuture, ChaosHandle, ChaosLayer, Injection};
pub use clock::{HeldClock, until};
pub use faults::Fault;
pub use gate::Gate;
pub use polls::{Counted, PollCount, counted};
pub use probe::{NotReady, Probe, ProbeFuture, ProbeLayer, ProbeReport, Violation};
pub use provider::MockProvider;
pub use provider_error::ProviderError;
pub use received::Received;
pub use refused::Refused;
pub use reply::Reply;
pub use step::Step;
pub use towline_core::Dialect;
pub use unanswered::Unanswered;

/// Any error at all.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
