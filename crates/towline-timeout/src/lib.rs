//! Time limits on the head and the body of a response.
//!
//! A provider that falls silent keeps its caller waiting for as long as the caller lets it. [`TimeoutLayer`] bounds the wait
//! for the head of a response, each silence within its body, and the exchange as a whole. What is cut is dropped at once, which closes
//! an HTTP/1.1 connection and resets an HTTP/2 stream, so that the provider may stop working, and billing.
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! use std::time::Duration;
//! use towline_core::{FailureKind, Phase};
//! use towline_timeout::TimeoutLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! # let silent = tower::service_fn(|_: http::Request<()>| async {
//! #     std::future::pending::<Result<http::Response<Full<Bytes>>, towline_core::BoxError>>().await
//! # });
//! let client = ServiceBuilder::new()
//!     .layer(TimeoutLayer::attempt().head(Duration::from_secs(30))?)
//!     .service(silent);
//! let error = client.oneshot(http::Request::new(())).await.unwrap_err();
//! assert_eq!(error.kind(), FailureKind::Timeout(Phase::Head));
//! # Ok::<_, towline_core::InvalidConfig>(())
//! # }).unwrap();
//! ```
//!
//! # The limits
//!
//! | limit | from | to | when it passes |
//! |---|---|---|---|
//! | [`head`](TimeoutLayer::head) | the call of this service | the head of the response | `Timeout(Head)` |
//! | [`idle`](TimeoutLayer::idle) | the moment when a reader finds nothing to read | the next frame of the body | `Timeout(Idle)` |
//! | [`total`](TimeoutLayer::total), [`stream_total`](TimeoutLayer::stream_total) | the call of this service | the end of the body | `Timeout(Total)` |
//! | the deadline of the [`Call`](towline_core::Call) | | the end of the body | `DeadlineExceeded` |
//!
//! The one that ends first counts; of two that end together, the deadline. A limit of ours that passes is a failure of the provider
//! (origin `Upstream`); the deadline says nothing about it (origin `Local`), and a request whose deadline has passed already
//! is refused before it is sent. Each is told to the [observer](TimeoutLayer::observer); the deadline as `Total`, with the time that
//! was left when this service was called.
//!
//! | | head | idle | total | stream total |
//! |---|---|---|---|---|
//! | [`TimeoutLayer::new`] | - | - | - | - |
//! | [`TimeoutLayer::attempt`] | 120 s | 60 s | - | - |
//! | [`TimeoutLayer::call`] | - | - | 600 s | 3600 s |
//!
//! With no limit set only the deadline is kept; without that too, this layer passes all through. A healthy stream may last
//! far longer than any document takes, so a total that fits both does not exist: a stream is what the call's facts or the
//! `content-type` of the response (`text/event-stream`, `application/vnd.amazon.eventstream`) say is one.
//! Until the head has come, only the facts can tell.
//!
//! # What it does not do
//!
//! - Time is looked at only when there is nothing to read: what has arrived is handed on, late or not. So a reader who takes
//!   their time is never mistaken for a provider that is silent. A future or body that nobody polls is not cut either; drop it.
//! - The wait in `poll_ready` does not count. A queue, such as that of a rate limiter, is bounded by the call's deadline.
//! - Bytes are all it knows: a provider that sends pings and no content is not idle.
//! - Connecting is part of the head. A limit of its own belongs to the connector.
//!
//! # Errors
//!
//! The future's and the body's error is [`towline_core::Error`]: a limit that passed, or what came from beneath, as it was. A panic
//! beneath stays a panic. After an error the body has ended.
//!
//! # Cost
//!
//! One look at the clock for a call that never waits, and no allocation. The first wait allocates the timer (one allocation),
//! which goes from the head to the body and is set anew only when it fires, not for each frame. Waiting
//! needs a tokio runtime with its time enabled.
//!
//! # Cancellation
//!
//! Dropping the future or the body drops what is beneath it, and its timer. Nothing else is held.
//!
//! # Its place in a stack
//!
//! `attempt` belongs beneath retry, breaker and rate limit, and above classify: each attempt has its own time, time in a queue
//! does not count, and the breaker hears of a silent provider. Since classify hands a stream on only when it bears content, `head` then
//! bounds the wait for the first content as well. Above retry the same limits would be those of all attempts
//! together and cut the second one short. Above the breaker a timeout is seen by it as an attempt that somebody dropped.
//! Beneath classify, an idle limit that passes within the part of a response that classify reads becomes part of its verdict.
//!
//! `call` belongs beneath `CallLayer`, above everything else. Above `CallLayer` it sees neither the deadline nor the facts.
//!
//! The figures are those that the providers' own clients and proxies converge on: long enough for a model that thinks before its first
//! byte, short enough to leave time for another target.

mod body;
mod connect;
mod future;
mod layer;
mod limits;
mod pace;
mod service;
mod watch;

pub use body::TimedBody;
pub use connect::{ConnectFuture, ConnectTimeout};
pub use future::ResponseFuture;
pub use layer::TimeoutLayer;
pub use limits::Limits;
pub use service::Timeout;
