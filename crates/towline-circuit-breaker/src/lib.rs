//! A circuit breaker for calls to LLM providers.
//!
//! When a provider is in trouble, asking it costs time and makes the trouble worse. [`CircuitBreakerLayer`] refuses at once
//! instead, so that a fallback can act, and finds out with single probes when the provider is well again.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState};
//! use towline_core::FailureKind;
//! # use bytes::Bytes;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), towline_core::BoxError> {
//!
//! let breaker = CircuitBreakerLayer::new().consecutive_failures(3)?;
//! let sick = breaker.layer(service_fn(|_: Request<Full<Bytes>>| async {
//!     Response::builder().status(503).header("retry-after", "30").body(Full::<Bytes>::default())
//! }));
//!
//! for _ in 0..3 {
//!     assert_eq!(sick.clone().oneshot(Request::new(Full::default())).await?.status(), 503);
//! }
//! let refused = sick.oneshot(Request::new(Full::default())).await.unwrap_err();
//! assert_eq!(refused.kind(), FailureKind::CircuitOpen);
//! assert!(refused.failure().hint.retry_after.is_some_and(|wait| wait.as_secs() >= 29));
//! assert!(matches!(breaker.handle().state(None), CircuitState::Open { .. }));
//! # Ok(()) }
//! ```
//!
//! # When it opens, and when it closes
//!
//! - **Closed**, it lets everything through. It opens when one of these holds, each of which may be off but not all:
//!   - 5 failures without a success in between ([`consecutive_failures`](CircuitBreakerLayer::consecutive_failures)): the
//!     quickest to see an outage, and blind to a provider that fails every other time;
//!   - half of all requests within 60 s have failed, and there were 10
//!     ([`failure_ratio`](CircuitBreakerLayer::failure_ratio)): sees that too, but needs its samples;
//!   - a number of failures within a time ([`failures_in`](CircuitBreakerLayer::failures_in)); off, since five a minute are an
//!     outage for one user and nothing for another;
//!   - a share of slow first contents ([`slow_ratio`](CircuitBreakerLayer::slow_ratio)); off, since what is slow depends on
//!     the model.
//! - **Open**, it refuses everything for 5 s, and twice as long each further time up to 10 s
//!   ([`open_for`](CircuitBreakerLayer::open_for)), times a random 1.0 to 1.5 that comes after the cap, so that clients do
//!   not come back in step. Doubling for ever would wait for as long again as an outage has lasted; a probe each 10 to 15 s is
//!   no load, and calls are back within a quarter of a minute. It never opens for less than the longest `retry-after` that the
//!   provider gave with its failures, which is believed up to 300 s. The doubling begins anew after a recovery: 60 s between closing and the first
//!   failure of the next run.
//! - **Half-open**, it lets one probe through at a time ([`probes`](CircuitBreakerLayer::probes)) and refuses the rest. Two
//!   probes that succeed ([`success_threshold`](CircuitBreakerLayer::success_threshold)) close it, or begin a
//!   [`ramp`](CircuitBreakerLayer::ramp) from a tenth of the requests to all, which is off unless set; one that fails, or is
//!   told 429, opens it again. A probe under way for 60 s ([`probe_deadline`](CircuitBreakerLayer::probe_deadline)) makes
//!   place for another.
//!
//! Windows slide in twelve steps and count exactly, each request once and when it is complete. Only a failure, or slowness,
//! opens a circuit: the end of a success never does.
//!
//! A result counts only in the state in which its request was let in: a success from before the outage closes nothing, and a
//! late failure reopens nothing. Changes happen when a request asks; there is no task.
//!
//! # What counts
//!
//! [`Outcome::of`](towline_core::Outcome::of) tells what became of a request, and [`Verdict::of`] what that means. In
//! short: what the provider or the way to it did wrong is a failure; a 429 is neither success nor failure, joins no run and is
//! no sample of a ratio, for the limiter and the retry deal with that; what is wrong with the request or the credential, and
//! what we refused ourselves, says nothing. [`counts`](CircuitBreakerLayer::counts) overrides it.
//!
//! It counts when it is known, so in the window of its *completion*, however long it took:
//!
//! 1. an error, of `poll_ready` too, and a response that failed: at once;
//! 2. a response that succeeded: when its body ends, with the body's last frame, its error (a broken stream), or what
//!    `ClassifyLayer` beneath says of the stream;
//! 3. except that a *probe* that streams succeeds with its first content, or its first bytes without `ClassifyLayer`: a
//!    stream may last ten minutes, and everybody else would be refused for as long;
//! 4. a future or body that is dropped: says nothing, unless the service beneath was called and took too long. That is so
//!    after the call's deadline, after [`drops_after`](CircuitBreakerLayer::drops_after), for a probe after its own deadline,
//!    and where a `TimeoutLayer` above cuts off what had at least half of its limit; then it is a timeout. A layer beneath
//!    that answers `DeadlineExceeded` once that deadline has passed is such a drop too: else nobody whose deadline comes before
//!    the limit of an attempt would ever open a circuit. Time that ran out while the service was not ready says nothing about a
//!    provider that was never asked.
//!
//! # Whose circuit
//!
//! Requests with a [`Target`](towline_core::Target) have one circuit for each target's name; all others share one. A
//! [`key`](CircuitBreakerLayer::key) of your own takes the place of the target. They live in the layer, so that all services
//! and clones made from it share them (axum applies a layer once per route). All go by the same rules, except
//! those that have [settings](CircuitBreakerLayer::settings_for) of their own. A circuit that nobody asks for during ten
//! minutes, or twice the longest open time, is forgotten, unless a request is under way or it was forced.
//!
//! [`handle`](CircuitBreakerLayer::handle) tells what they do, forces one open or closed, resets it, has all of them
//! [only watch](CircuitBreakerHandle::metrics_only), and tells of their [transitions](CircuitBreakerHandle::transitions).
//!
//! # Errors
//!
//! A refusal is an [`Error`](towline_core::Error) of kind `CircuitOpen` with `retry_after`, never retried. It comes at
//! once: the service is always ready, and readies a clone of the inner service only after it has let the request through, in
//! `call` if that can be done at once and else in the call's future. Everything else is the inner service's own error, converted.
//!
//! # Where it stands
//!
//! Beneath retry and fallback, so that each attempt is asked for and a refusal moves the call to its next target; above the
//! rate limiter, so that an open circuit spends no tokens; above the timeout of an attempt, whose error it then sees. A
//! timeout *above* it can only drop. Where requests carry a [`Call`](towline_core::Call), `TimeoutLayer` says so in there;
//! without one, or with another crate's timeout, set `drops_after` to the same limit. Above retry, it would see one outcome per
//! call, and a call that was saved by its second attempt as a success.
//!
//! # Cancellation, cost
//!
//! All futures and bodies may be dropped at any time, and a panic beneath is such a drop: a probe's place is given back.
//!
//! A request through a closed circuit without a key takes no lock and allocates nothing, however many there are in a window: a
//! load to be let in; a clock, and a compare-and-swap in a ring that its service shares with few others, when it succeeds.
//! Nothing of that grows with the number of threads. What has a key or a [`Call`](towline_core::Call) reads the clock twice;
//! a key's circuit is looked up under a short read lock. While the service beneath is not ready, the request waits on the heap.
//! Time is `tokio::time::Instant`, so wall clocks do not matter and a paused clock drives it.
//!
//! # What it does not do
//!
//! It sets no time limit, sends nothing by itself, and limits nothing while closed. Each process has circuits of its own.

mod body;
mod breaker;
mod circuit;
mod explain;
mod future;
mod handle;
mod layer;
mod line;
mod permit;
mod policy;
mod ring;
mod rules;
mod service;
mod span;
mod status;
mod sync;
mod transitions;
mod verdict;
mod window;
mod word;

pub use body::GuardedBody;
pub use future::ResponseFuture;
pub use handle::CircuitBreakerHandle;
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreaker;
pub use status::{CircuitState, CircuitStatus, Transition};
pub use transitions::Transitions;
pub use verdict::Verdict;
