//! Decides once, next to the transport, what became of a call to an LLM provider.
//!
//! A status code gets four of ten failures wrong: a 429 may be a spent account, a 400 an overload, a 200 a refusal or a stream whose
//! first event is an error. [`ClassifyLayer`] reads what there is to read, writes what it found where every other layer looks,
//! and hands the answer on as it came. It decides nothing about what to *do*: that is the other layers' business.
//!
//! # What it writes
//!
//! - An [`Outcome`](towline_core::Outcome) into the extensions of each response that failed. No extension means success, so a
//!   plain 2xx costs nothing.
//! - A [`StreamHandle`](towline_core::StreamHandle) into the extensions of each stream's response. It tells when content last came, how the
//!   stream ended, and what it cost, while the body flows and before the frame in question is handed on.
//! - An error of the service beneath becomes a [`towline_core::Error`], which reads its source chain.
//!
//! The status and headers of an answer are never changed.
//!
//! # Example
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
//!
//! # What it does, in this order
//!
//! | the head says | what is done |
//! |---|---|
//! | no success, by [`Failure::from_status`](towline_core::Failure::from_status) | the body is read, at most 64 KiB and 2 s; then it is judged |
//! | 204, 205, 304, an answer to HEAD, a `content-encoding` | nothing: there is nothing to read |
//! | 2xx, `text/event-stream` or Bedrock's event stream | it is held until its first content, at most 64 events, 256 KiB and 120 s |
//! | 2xx, JSON, text or untyped, below 64 KiB, and there is a validator (for JSON: or `reject_empty`) | it is read and judged |
//! | 2xx, JSON, below 64 KiB or of unknown length | its first frame is awaited and looked at; only what may be an error, or is blank or below 11 bytes, is read on and judged, and so is a whole answer that does not begin or not end as JSON |
//! | any other 2xx | nothing |
//!
//! *Judged* means, and the first opinion wins: your [rules](ClassifyLayer::rule) in their order; the providers' rules of `towline-wire`
//! (codes before the status before words), narrowed by the dialect of the [`Target`](towline_core::Target) if there is one in the
//! request's extensions; the status and its headers; and for a success your [validators](ClassifyLayer::validate). A compressed
//! body of a failure is read, so that its connection is free, but shown to no rule: status and headers decide. Of a success
//! that was not read to its end nothing is believed. A success whose connection breaks before its first byte is a failure.
//!
//! **Streams.** Content is text, reasoning, or a piece of a tool call; pings, openings and chunks with a role only are none.
//!
//! - An error before anything was handed on is the outcome. The status stays 200, and the stream can still be read.
//! - An end or a broken connection before content is the outcome too, provided that what came is the beginning of an answer, or nothing.
//! - After content each frame leaves in the poll that brought it, byte for byte, but for two things: an event that is no JSON, in a stream
//!   that speaks it, is left out, since most readers give up on one; and the beginning of an event waits for its end, up to 16 KiB of it, since what
//!   has been handed on cannot be left out. The handle counts [what was left out](towline_core::StreamHandle::broken_events). What becomes of the stream is told by its handle:
//!   [complete](towline_core::StreamEnd::Complete) with its last event, or once the model has given a reason to stop and the body ends;
//!   [failed](towline_core::StreamEnd::Failed), [cut](towline_core::StreamEnd::Cut) or [dropped](towline_core::StreamEnd::Dropped).
//! - A stream that ends in order as HTTP has it, but without having said that it is complete, ends with an error of kind
//!   `StreamBroken`, so that nobody takes half an answer for a whole one ([`fail_cut_streams`](ClassifyLayer::fail_cut_streams)). So does one
//!   that was followed by a bare JSON error, which no reader of events would see.
//! - A stream of no known dialect is held until it ends or reaches a limit, and is not judged.
//!
//! # Defaults
//!
//! | | default | set with |
//! |---|---|---|
//! | read of an error | 64 KiB, 2 s from the first wait | [`read_up_to`](ClassifyLayer::read_up_to) |
//! | held of a stream | 64 events, 256 KiB, 120 s from the first wait | [`hold_up_to`](ClassifyLayer::hold_up_to) |
//! | look into a small JSON success | yes | [`look_into_success`](ClassifyLayer::look_into_success) |
//! | an empty answer is a failure | no | [`reject_empty`](ClassifyLayer::reject_empty) |
//! | a cut stream ends with an error | yes | [`fail_cut_streams`](ClassifyLayer::fail_cut_streams) |
//! | read usage | no | [`usage`](ClassifyLayer::usage) |
//! | broken events are left out of a stream | yes | [`drop_broken_events`](ClassifyLayer::drop_broken_events) |
//! | told of the end of streams | nobody | [`observer`](ClassifyLayer::observer) |
//!
//! An error's body nearly always comes with its head: 2 s is long for that and short beside a model's answer. 64 KiB is what
//! all known error bodies fit into. The limits on holding are those of Bifrost's commit gate; its time is a last resort, since a
//! `TimeoutLayer` above knows better how long a first token may take.
//!
//! # Bodies and connections
//!
//! Each frame's data, the trailers and the error of the inner body arrive once and in order, whatever was read before, but for broken events
//! of a stream whose length was not told beforehand. What was
//! read of a failed status comes as one frame. A body that was read to its end is dropped at once, so its connection is free though the
//! answer is never read; the rest of a longer one streams on. `size_hint` and `is_end_stream` stay right, with one
//! exception: a stream that may yet end with an error of ours has no upper bound, and one of which events may be left out no bounds at all.
//!
//! # Where it stands
//!
//! Last, next to the transport, so that all others can read what it found. Above a retry it would judge only the last attempt.
//! Above a timeout it would hold a stream without that timeout's limit on first content, and a connection that the timeout ended
//! would look like the provider's failure. A layer that decompresses belongs beneath it; `CallLayer` asks for `identity`.
//!
//! It forwards readiness and calls the very service that was readied. It never spawns, sleeps only where a limit above says so,
//! and needs a tokio runtime with time for that alone.
//!
//! # Errors, cancellation, cost
//!
//! Its own errors are those of the service beneath, as [`towline_core::Error`], and the end of a cut stream. Dropping the future drops the
//! inner future or the response with all that was read; dropping the body settles the handle. A plain 2xx and a JSON answer that
//! looks like one allocate nothing; a failure allocates what it reads, a stream its handle and its reader, and once a queue if its frames
//! split an event.
//!
//! # What it does not do
//!
//! It repairs nothing: what is broken is left out or handed on broken. It reads no request. It does not judge JSON lines, nor
//! what is wrong with an answer beyond its shape; that is what validators are for.

mod body;
mod explain;
mod future;
mod hold;
mod judge;
mod layer;
mod look;
mod plan;
mod reader;
mod service;
mod sieve;
mod watch;

pub use body::ClassifiedBody;
pub use future::ResponseFuture;
pub use layer::ClassifyLayer;
pub use service::Classify;
