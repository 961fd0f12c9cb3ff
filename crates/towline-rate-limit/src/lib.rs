//! Keeps calls within a provider's rate limit, first come first served.
//!
//! Every 429 that is never caused is a call that is not delayed, and with most providers a failed request counts
//! against the limit like any other. [`RateLimitLayer`] lets as many requests pass as the limit allows, has the others
//! wait in line, and refuses at once, with the time to wait, whoever would wait too long.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! use std::{num::NonZeroU32, time::Duration};
//!
//! use http::{Request, Response};
//! use tokio::time::Instant;
//! use tower::{Layer, ServiceExt, service_fn};
//! use towline_core::{BoxError, FailureKind};
//! use towline_rate_limit::RateLimitLayer;
//!
//! const LIMIT: NonZeroU32 = NonZeroU32::new(60).unwrap();
//! let layer = RateLimitLayer::requests_per_minute(LIMIT).share(1.0)?.max_wait(Duration::from_secs(1));
//! let client = layer.layer(service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) }));
//!
//! let began = Instant::now();
//! let ask = || client.clone().oneshot(Request::new(()));
//! let (first, second, third) = tokio::join!(ask(), ask(), ask());
//! assert!(first.is_ok() && second.is_ok());
//! assert_eq!(began.elapsed(), Duration::from_secs(1), "the second had to wait for its turn");
//!
//! let refused = third.unwrap_err();
//! assert_eq!(refused.kind(), FailureKind::LimitedLocally);
//! assert_eq!(refused.failure().hint.retry_after, Some(Duration::from_secs(2)));
//! # Ok::<(), towline_core::InvalidConfig>(())
//! # }).unwrap();
//! ```
//!
//! # What happens to a request, in order
//!
//! 1. Its limit is that of its [`Target`](towline_core::Target), by name, or else the one that all requests without a
//!    target share.
//! 2. If nobody waits and there is a token for it, the token is taken and it passes.
//! 3. Otherwise its wait is computed: until there are tokens for it and for all who came before it. It is refused at
//!    once if the wait is longer than [`max_wait`](RateLimitLayer::max_wait), if [`queue`](RateLimitLayer::queue)
//!    others wait already, or if the deadline of its [`Call`](towline_core::Call) would pass meanwhile. A refused
//!    request is charged nothing.
//! 4. Otherwise it waits in line, in the order in which the futures are first polled. Only the head of the line watches
//!    the clock; nobody who comes later passes it by. When its turn comes and its deadline has passed after all, it is
//!    not sent.
//! 5. Having passed, it readies a clone of the service beneath, and calls that one. So nobody in line holds a
//!    connection or a permit.
//!
//! All this is decided when the service is called, and the service is always ready.
//!
//! | setting | default |
//! |---|---|
//! | [`share`](RateLimitLayer::share) of the limit that is used | 0.95 |
//! | [`burst`](RateLimitLayer::burst) after a pause | the requests of 1 s, at least one |
//! | [`max_wait`](RateLimitLayer::max_wait) | 30 s |
//! | [`queue`](RateLimitLayer::queue) | 1000 waiting for each target |
//! | [`observer`](RateLimitLayer::observer) | nobody; it is told `LimitWaiting` and `LimitRejected` |
//!
//! # How much passes
//!
//! The limit is a token bucket, which fills steadily. With a rate of `r` requests a second and a burst of `b` requests
//! at most `60 r + b` pass in any 60 seconds, wherever they begin. With the defaults that is never more than the limit
//! itself, wherever a provider's minute may begin. It is computed in whole units that divide a nanosecond's share of
//! every rate, so nothing is rounded and nothing drifts; waits are rounded up to the nanosecond, never early. Requests
//! count from when they pass: what delays them on their way to the provider is what the unused share is for.
//!
//! tokio's timer has a resolution of a millisecond. Above some 60,000 requests a minute a small burst therefore lets
//! less than the rate pass.
//!
//! # What is charged
//!
//! A request that was sent keeps its charge whatever comes of it, since providers count failures too. It is given back
//! when the request never left: its future was dropped before, the service beneath did not become ready, no connection
//! was made (`Connect`, `Timeout(Connect)`), or a layer beneath refused it (`CircuitOpen`, `LimitedLocally`,
//! `Untranslatable`). What was given back wakes the head of the line, and the books are then as if it had never been
//! charged. That is less than the charge where the bucket has been full in between: what came in then has run over, and
//! giving it back would let more than `60 r + b` pass.
//!
//! # Errors
//!
//! `LimitedLocally` with the wait as `retry_after`, of local origin and not worth a retry at this target (a fallback
//! may go elsewhere); `DeadlineExceeded` if a deadline passed in line. Errors from beneath are handed on, as
//! [`towline_core::Error`].
//!
//! # Cancellation
//!
//! A future may be dropped at any time. In line that frees its place, and those behind move up: nobody waits for
//! somebody who left. Before the request was sent it gives the charge back; afterwards the charge stays. But a future
//! that has been polled must be polled on or dropped: as long as the head of the line is neither, as in a `select!`
//! that waits for something else, the line stands still.
//!
//! # Where it stands
//!
//! Beneath retry, so that each attempt counts, and beneath fallback, so that each target has its own limit: above them
//! one charge pays for all attempts, and all targets share one limit. Beneath the circuit breaker, so that nobody waits
//! in line for an open circuit; above it, what an open circuit refuses is given back. Above the timeout of an attempt,
//! so that the time in line is not the provider's.
//!
//! # What it costs
//!
//! A request that need not wait costs a short lock and no allocation (the first to each target makes that target's
//! bucket). One that waits costs one allocation and three polls: it joins the line, becomes its head, and passes. An
//! unlimited layer forwards `poll_ready` and `call` and costs nothing.
//!
//! # What it does not do
//!
//! It counts requests a minute: no tokens, no days, no concurrency. It learns nothing from answers: a 429 closes
//! nothing here, and its `retry-after` is the retry layer's affair. Each process has its own limits; give each of `n`
//! replicas an `n`th. Targets share a limit only if they share a name. A target that nobody has asked for in ten
//! minutes, or in the time in which its bucket fills where that is longer, is forgotten, being full again.

mod bucket;
mod future;
mod handle;
mod layer;
mod limiter;
mod limits;
mod service;

pub use future::ResponseFuture;
pub use handle::RateLimitHandle;
pub use layer::RateLimitLayer;
pub use service::RateLimit;
