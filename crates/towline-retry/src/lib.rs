//! Sends a call again that failed for a reason that will pass: after the wait that the provider asks for or a random
//! one, as long as a budget and the call's deadline allow.
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use towline_retry::RetryLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), towline_core::BoxError> {
//! let attempts = AtomicU32::new(0);
//! let provider = service_fn(async |_: Request<Full<Bytes>>| {
//!     let status = if attempts.fetch_add(1, Ordering::Relaxed) == 0 { 429 } else { 200 };
//!     Response::builder().status(status).header("retry-after", "1.5").body(Full::<Bytes>::default())
//! });
//! let began = tokio::time::Instant::now();
//! let client = RetryLayer::new().layer(provider);
//!
//! let response = client.oneshot(Request::post("http://host/v1/messages").body(Full::from("{}"))?).await?;
//!
//! assert_eq!(response.status(), 200);
//! assert_eq!(attempts.load(Ordering::Relaxed), 2);
//! assert!(began.elapsed() >= Duration::from_millis(1500), "not before the provider said");
//! # Ok(()) }
//! ```
//!
//! # Why this way
//!
//! - **The budget is paid for by successes** ([`RetryBudget`]). Backoff alone does not end an overload: one that every
//!   request pays for keeps the load at 1.1 to 1.2 times its normal, and a queue that is full stays full; one that
//!   successes pay for lets the load fall back, and recovered in each of ten runs of a published simulation of
//!   metastable failure in which full jitter alone recovered in none.
//! - **Full jitter**: a wait is drawn between zero and its ceiling. Where many callers compete, that needs the fewest
//!   attempts and is done first (the AWS study of 2015, run again).
//! - **A wait that the provider told is a minimum.** We add chance on top of it and never take from it, so that two
//!   hundred callers who were told the same do not come back together. A wait beyond our patience is not cut to a
//!   shorter one, which would only fail again: the answer is handed on at once, for a layer above to try elsewhere.
//! - **One copy of the request**, kept before the first attempt, since sending gives away its head.
//!
//! # What happens after an attempt
//!
//! What became of it is read by [`Outcome::of`]: what `ClassifyLayer` wrote if it stands beneath, else the error's
//! source chain, else the status. A success and an `Aborted` are handed on. Of a failure the first line that applies
//! decides:
//!
//! | # | if | then |
//! |--:|---|---|
//! | 1 | its origin is we ourselves or the caller (`CircuitOpen`, `LimitedLocally`, `DeadlineExceeded` ...) | stop: `NotRetryable` |
//! | 2 | `x-should-retry: false` | stop: `NotRetryable` |
//! | 3 | the verdict is `Never`, unless `x-should-retry: true` and the scope is the provider or the model | stop: `NotRetryable` |
//! | 4 | [`table`](RetryLayer::table) knows the failure | its number of attempts counts in lines 5 to 7 |
//! | 5 | the target was silent: `Timeout` of the head, the first content or the total | stop: `NotRetryable` |
//! | 6 | it never left (`Connect`), for the first time in this call, and more than one attempt is allowed | again at once, outside attempts and budget |
//! | 7 | all attempts are made; two are all for the verdict `Once` (408, 409), and for `RateLimited` while another target waits | stop: `Attempts` |
//! | 8 | the provider asks for a wait longer than [`max_server_delay`](RetryLayer::max_server_delay), or than 2 s by limiting the rate while another target waits | stop: `WaitTooLong` |
//! | 9 | the wait would end at or after the deadline of the [`Call`] | stop: `Deadline` |
//! | 10 | the request's body can be sent only once | stop: `NotReplayable` |
//! | 11 | the budget is used up | stop: `Budget` |
//! | 12 | else | again after the wait |
//!
//! `x-should-retry: true` lifts no verdict on a request that is wrong (a 400 stays one attempt), nor on a credential
//! that is wrong or an account that is empty: there the answer's own code is the better witness. With a `retry-after`
//! of days it is line 8's.
//!
//! That another target waits is what a fallback above says in the [`Call`]: where there is none, this layer is patient.
//!
//! **Stopping hands on the last answer as it is**, body untouched. A failed response that is to be tried again is
//! drained first (64 KiB or 50 ms, within the wait), so that an HTTP/1.1 connection can be used again, and nothing of
//! it is held during the wait. One that has no body, or that `ClassifyLayer` has read whole into memory, is kept
//! instead, and handed on if no further attempt can be made after all. Before a further attempt the service is polled
//! ready, and the deadline is looked at once more.
//!
//! # Defaults
//!
//! | what | default | set by |
//! |---|---|---|
//! | attempts in all | 3 | [`attempts`](RetryLayer::attempts), for one target [`Target::with_attempts`], for a kind of failure [`table`](RetryLayer::table) |
//! | wait before retry n = 0, 1 ... | 0 to min(8 s, 500 ms * 2^n) | [`backoff`](RetryLayer::backoff) |
//! | the same for `RateLimited` and `Overloaded` | 0 to min(20 s, 1 s * 2^n) | [`throttle_backoff`](RetryLayer::throttle_backoff) |
//! | the same after a 502 | the base is at most 100 ms | - |
//! | where the provider told a wait | that, and 0 to min(5 s, a tenth of it + 250 ms) on top | - |
//! | the longest wait that it may tell | 60 s | [`max_server_delay`](RetryLayer::max_server_delay) |
//! | budget | for each target: 10 tokens at first, 20 at most, 0.1 for a success, 1 for a retry or 0.35 if throttled with a told wait | [`budget`](RetryLayer::budget), [`without_budget`](RetryLayer::without_budget) |
//!
//! A target's budget is forgotten 10 minutes after its last use. Requests without a [`Target`] share one. A retry is
//! paid for when it is decided upon, gets its price back if it succeeds or is never sent (a breaker or limiter beneath
//! refused it), and a first attempt that succeeds pays in.
//!
//! # What it does not do
//!
//! It retries nothing after the response was handed on: a stream that breaks later is its reader's. It adds no
//! idempotency key; each attempt carries the caller's headers as they were. It sets no time limit on an attempt, nor on
//! becoming ready: that is `TimeoutLayer`'s.
//!
//! It asks no provider whether it has seen a request before, since none can tell. One whose connection broke after it
//! was sent (`Transport`) is sent again and may be billed twice; a [`table`](RetryLayer::table) that answers `Some(1)`
//! for that kind rules it out.
//!
//! It knows nothing of retries in the client beneath. hyper-util's client repeats requests that a pooled connection
//! refused (`retry_canceled_requests(false)` turns that off), reqwest those that HTTP/2 refused; an SDK above has two
//! retries of its own more often than not, and 3 times 3 is 9. Let one of them retry.
//!
//! # Requirements, cost
//!
//! The request body says by [`TryClone`] whether it can be sent again; one that cannot is sent once, which is no error.
//! The service is `Clone`; the instance that was readied is the one that is called. Waiting needs a tokio runtime with
//! its time enabled.
//!
//! A success costs one allocation, the copy of the head, whatever the number of headers; and none at all with
//! `attempts(1)` or a body that can be sent only once. On top come what the caller's own types take for their clone: a
//! map of extensions where there are others than a [`Call`] and a [`Target`] (two and one for each extension), a URI or body made of an
//! unshared buffer (one), and the first line of the trail of a [`Call`] (one).
//!
//! # Errors
//!
//! [`towline_core::Error`]: the last attempt's own, converted but not wrapped. The one error of this layer is
//! `DeadlineExceeded`, when the deadline passed while the service was becoming ready and no answer was left to hand on.
//!
//! # Cancellation
//!
//! Dropping the future ends the attempt under way or sends no further one. A retry that was not sent yet gives its
//! price back to the budget; one that was is paid for.
//!
//! # Elsewhere in the stack
//!
//! Beneath the breaker, the retries of a call would be one result to it, and it would open late; beneath the limiter,
//! retries would not be counted as requests. Above the fallback, all targets would be tried again from the first.
//! Beneath `TimeoutLayer` with a limit on the attempt, all attempts would share it.

mod backoff;
mod budgets;
mod explain;
mod future;
mod layer;
mod policy;
mod progress;
mod service;

pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use service::Retry;

#[cfg(doc)]
use towline_core::{Call, Outcome, RetryBudget, Target, body::TryClone};
