//! Time limits on the head and the body of a response.
//!
//! A provider that falls silent keeps its caller waiting for as long as the caller lets it. [`TimeoutLayer`] bounds the wait
//! for the head of a response and for the first content of a stream, each silence within its body, each pause without content, a trickle,
//! and the exchange as a whole. What is cut is dropped at once, which closes an HTTP/1.1 connection and resets an HTTP/2
//! stream, so that the provider may stop working, and billing.
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
//! | [`head`](TimeoutLayer::head) | the call of this service | the head of a response that is no stream | `Timeout(Head)` |
//! | [`first_content`](TimeoutLayer::first_content) | the call of this service | the first content of a stream, its head included | `Timeout(FirstContent)` |
//! | [`idle`](TimeoutLayer::idle) | the moment when a reader finds nothing to read | the next frame of the body | `Timeout(Idle)` |
//! | [`content_idle`](TimeoutLayer::content_idle) | content of a stream | its next content | `Timeout(ContentIdle)` |
//! | [`min_throughput`](TimeoutLayer::min_throughput) | as many bytes of a stream as it asks for, or its first content | as many again | `Timeout(Throughput)` |
//! | [`total`](TimeoutLayer::total), [`stream_total`](TimeoutLayer::stream_total) | the call of this service | the end of the body | `Timeout(Total)` |
//! | the deadline of the [`Call`](towline_core::Call) | | the end of the body | `DeadlineExceeded` |
//!
//! The one that ends first counts; of those that end together the deadline, then the total, then in the order of this table. A limit of
//! ours that passes is a failure of the provider (origin `Upstream`); the deadline says nothing about it (origin `Local`), and a request
//! whose deadline has passed already is refused before it is sent. Each is told to the [observer](TimeoutLayer::observer); the
//! deadline as `Total`, with the time that was left when this service was called.
//!
//! | | head, first content | idle | content idle | throughput | total | stream total |
//! |---|---|---|---|---|---|---|
//! | [`TimeoutLayer::new`] | - | - | - | - | - | - |
//! | [`TimeoutLayer::attempt`] | 120 s | 60 s | 180 s | 2 B/s over 300 s | - | - |
//! | [`TimeoutLayer::chat`] | 60 s | 60 s | 180 s | 2 B/s over 300 s | - | - |
//! | [`TimeoutLayer::reasoning`] | 300 s | 300 s | 300 s | 2 B/s over 600 s | - | - |
//! | [`TimeoutLayer::call`] | - | - | - | - | 600 s | 3600 s |
//!
//! With no limit set only the deadline is kept; without that too, this layer passes all through. Which models think for long, and
//! so need the limits of `reasoning`, a [`profile`](TimeoutLayer::profile) of yours says for each request. A
//! [`Target`](towline_core::Target) that a fallback above has chosen may have limits of its own
//! ([`with_timeout`](towline_core::Target::with_timeout)), which go before both.
//!
//! # Streams
//!
//! A healthy stream may last far longer than any document takes, so a total that fits both does not exist: a stream is what the
//! call's facts or the `content-type` of the response (`text/event-stream`, `application/vnd.amazon.eventstream`) say is one.
//! Until the head has come, only the facts can tell; till then a stream that nobody announced has the limit of `head`.
//!
//! What is *content* (text, reasoning, a part of a tool call, and no ping) `ClassifyLayer` tells by its
//! [`StreamHandle`](towline_core::StreamHandle). It depends on its place what can be kept:
//!
//! | `ClassifyLayer` is | `first_content` | `content_idle` | `min_throughput` |
//! |---|---|---|---|
//! | beneath | is kept, and so is `head`, since classify hands a stream on only with its first content | is kept | of frames that bear content |
//! | beneath, and cannot read the stream | ends with the first byte of the body | is not kept | of all bytes |
//! | absent or above | ends with the first byte of the body | is not kept | of all bytes |
//!
//! Classify hands on whole events where it can: the silence that `idle` bounds is then that between them, whatever drips meanwhile.
//!
//! It cannot read a stream in which it has found no content, unless the call's facts name both a dialect and that a stream
//! was asked for. It does not hold a stream for ever either (120 s by its default): then the same limit goes on in the body, but
//! the response can no longer be replaced by another. Beneath a limit that is longer, set its
//! `hold_up_to` as long.
//!
//! **A trickle** keeps every limit on silence from passing: one byte a second is never idle, and events that are short enough bring content
//! every two minutes. Beneath it no defaults but those of the throughput are a floor. It counts bytes of the wire, in which a
//! token takes 5 to 300, and its window is the longest pause that it allows; so the one of the presets asks for next to
//! nothing, and a strict one is for who knows the provider. Documents have none, as some providers send blank lines for minutes
//! to keep a connection alive; their total bounds them.
//!
//! # What it does not do
//!
//! - Time is looked at only when there is nothing to read: what has arrived is handed on, late or not. Of `idle`, `content_idle` and
//!   `min_throughput` it counts only while somebody waits, so a reader who takes their time is never mistaken for a provider that
//!   is silent. A future or body that nobody polls is not cut either; drop it.
//! - The wait in `poll_ready` does not count. A queue, such as that of a rate limiter, is bounded by the call's deadline.
//! - Connecting is part of the head. A limit of its own, TLS included, belongs to the connector: [`ConnectTimeout`].
//!
//! # Errors
//!
//! The future's and the body's error is [`towline_core::Error`]: a limit that passed, or what came from beneath, as it was. A panic
//! beneath stays a panic. After an error the body has ended.
//!
//! # Cost
//!
//! One look at the clock for a call that never waits, two for a stream whose first content is not there with its head. A document costs
//! no allocation; a stream one, for its pace, and another where its limits are not the layer's own. The first wait allocates the timer
//! (one allocation), which goes from the head to the body and is set anew only when it fires, not for each frame. A frame of a stream
//! that was waited for costs one more look at the clock. Waiting needs a tokio runtime with its time enabled.
//!
//! # Cancellation
//!
//! Dropping the future or the body drops what is beneath it, and its timer. Nothing else is held.
//!
//! # Its place in a stack
//!
//! `attempt` belongs beneath retry, breaker and rate limit, and above classify: each attempt has its own time, time in a queue
//! does not count, and the breaker hears of a silent provider. Above retry the same limits would be those of all attempts
//! together and cut the second one short. Beneath classify, an idle limit that passes within the part of a response that classify
//! reads becomes part of its verdict.
//!
//! Above a breaker it can only drop what is beneath. It says so in the request's [`Call`](towline_core::Call) while it does
//! ([`Call::cut_off`](towline_core::Call::cut_off)), so that a breaker which asks there need not take it for the caller's
//! leave. Without a `Call` there is no such place, and the breaker has to be told the limit beforehand (its `drops_after`).
//!
//! `call` belongs beneath `CallLayer`, above everything else. Above `CallLayer` it sees neither the deadline nor the facts.
//!
//! The figures are those that the providers' own clients and proxies converge on: long enough for a model that thinks before its first
//! byte, short enough to leave time for another target. That of the throughput is our own.

mod body;
mod connect;
mod explain;
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
