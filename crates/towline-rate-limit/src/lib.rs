//! Keeps calls within a provider's limits in requests, tokens and concurrency, first come first served.
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
//! let client = layer.layer(service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(String::new())) }));
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
//! [`Limits`] may hold requests, tokens, tokens of prompts and of answers apart, each by the minute, requests and tokens by
//! the day, and requests under way at once, in any combination:
//!
//! ```
//! use std::num::{NonZeroU32, NonZeroU64};
//!
//! use towline_rate_limit::{Limits, Profile, RateLimitLayer};
//!
//! let small = Limits::none()
//!     .requests_per_minute(NonZeroU32::new(50).unwrap())
//!     .input_tokens_per_minute(NonZeroU64::new(30_000).unwrap())
//!     .output_tokens_per_minute(NonZeroU64::new(8_000).unwrap());
//! let layer = RateLimitLayer::new(small).profile(Profile::Anthropic);
//! assert_eq!(layer.handle().limits(None), small);
//! ```
//!
//! # What happens to a request, in order
//!
//! 1. Its limits are those of its [`Target`](towline_core::Target), by name, or of the [`key`](RateLimitLayer::key) that you
//!    find for it, or else the ones that all requests without either share.
//! 2. What it costs is one request, and the tokens that its [`Profile`] reserves for it. If it alone costs more than a whole
//!    limit allows, it is refused at once, and says so.
//! 3. If nobody waits and it fits into every dimension, it is charged in all of them at once and passes. A dimension in which
//!    it does not fit leaves the others untouched.
//! 4. Otherwise its wait is computed: until there are tokens for it and for all who came before it, in the dimension that
//!    takes longest. It is refused at once if the wait is longer than [`max_wait`](RateLimitLayer::max_wait), or than 2 s while another
//!    target waits for its [`Call`](towline_core::Call) ([`has_alternative`](towline_core::Call::has_alternative)), or than another
//!    takes to recover, if that is later ([`others_recover`](towline_core::Call::others_recover)); if
//!    [`queue`](RateLimitLayer::queue) others wait already, or if the deadline of its call would pass meanwhile. A refused request is
//!    charged nothing.
//! 5. Otherwise it waits in line, in the order in which they came, until all who came before it have passed and it fits. Only
//!    the head of the line watches the clock; nobody who comes later passes it by. When its deadline passes in line after all,
//!    it ends then. If the gate closes for longer than it has time, it is refused at once, wherever it stands; if it turns out when
//!    its turn comes that it would wait longer than that, then.
//! 6. Having passed, it readies a clone of the service beneath, and calls that one. So nobody in line holds a
//!    connection or a permit.
//! 7. When its answer has ended, it is charged what it has really cost.
//!
//! All this is decided when the service is called, and the service is always ready.
//!
//! | setting | default |
//! |---|---|
//! | [`share`](RateLimitLayer::share) of the limit that is used | 0.95 |
//! | [`share_for`](RateLimitLayer::share_for) a target or key | that of all |
//! | [`burst`](RateLimitLayer::burst) after a pause | the requests of 1 s (Azure: of 0.05 s), at least one |
//! | [`burst_for`](RateLimitLayer::burst_for) a target or key | that of all |
//! | [`token_burst`](RateLimitLayer::token_burst) after a pause | the tokens of 3 s (Azure: of 1 s), at least one |
//! | [`profile`](RateLimitLayer::profile) of the provider | `Any` |
//! | [`profile_for`](RateLimitLayer::profile_for) a target or key | that of all |
//! | [`estimator`](RateLimitLayer::estimator) of what a request costs | the call's facts |
//! | [`limits_for`](RateLimitLayer::limits_for) a target or key | those of all |
//! | [`key`](RateLimitLayer::key) | the target's name |
//! | [`max_wait`](RateLimitLayer::max_wait) | 30 s; 2 s at most while another target waits |
//! | [`max_wait_for`](RateLimitLayer::max_wait_for) a target or key | that of all |
//! | [`queue`](RateLimitLayer::queue) | 1000 waiting for each target |
//! | [`observer`](RateLimitLayer::observer) | nobody; it is told `LimitWaiting`, `LimitRejected`, `LimitClosed` and `LimitOpened` |
//!
//! # How much passes
//!
//! A limit is a token bucket, which fills steadily. With a rate of `r` requests a second and a burst of `b` requests
//! at most `60 r + b` pass in any 60 seconds, wherever they begin. With the defaults that is never more than the limit
//! itself, wherever a provider's minute may begin. It is computed in whole units that divide a nanosecond's share of
//! every rate, so nothing is rounded and nothing drifts; waits are rounded up to the nanosecond, never early. Requests
//! count from when they pass: what delays them on their way to the provider is what the unused share is for.
//!
//! A request that costs more tokens than the burst waits for a full bucket and leaves it in debt: what it costs above the
//! burst passes beyond that sum, and those who come next make up for it. Of a day's limit a tenth passes at once and the rest
//! in the course of 24 hours, so that no 24 hours see more than the limit, and a steady demand gets nine tenths of it.
//!
//! tokio's timer has a resolution of a millisecond. Above some 60,000 requests a minute a small burst therefore lets
//! less than the rate pass.
//!
//! # What is charged
//!
//! | what became of it | requests | tokens |
//! |---|---|---|
//! | it never left: dropped before, the service beneath not ready, no connection (`Connect`, `Timeout(Connect)`), refused by a layer beneath (`CircuitOpen`, `LimitedLocally`, `Untranslatable`) | come back | come back |
//! | refused by the provider, before any content | stay | come back |
//! | answered to the end, and the answer tells its usage | stay | what was used, as the [`Profile`] counts |
//! | the answer broke off or was dropped, having told some usage | stay | that, or what was reserved if it is more |
//! | anything else: no usage told, a time limit, a lost connection | stay | stay |
//!
//! Providers count failures as requests too. Usage is read from the [`StreamHandle`](towline_core::StreamHandle) that
//! `ClassifyLayer` beneath writes if it is told to read usage; without it every reservation stands.
//!
//! What comes back wakes the head of the line, and the books are then as if it had never been
//! charged. That is less than the charge where the bucket has been full in between: what came in then has run over, and
//! giving it back would let more than `60 r + b` pass. What was used beyond the reservation is owed from then on.
//!
//! What a request will cost comes from its [facts](towline_core::Facts): an estimate of the prompt's tokens, and the most that
//! the answer may have. Nearly no answer is as long as that, so most profiles reserve what answers have been long so far: a mean
//! in which the last counts an eighth, 1024 tokens before there was any. A request of which nothing is known is taken for a typical
//! one. Your own [`Estimate`] may know better.
//!
//! # What answers teach
//!
//! **A 429** (any failure of the kind `RateLimited`, also one that ends a stream) closes the gate for all who share its limits,
//! for as long as it says, or for 5 s if it does not say, and for 10 minutes at most. Whoever waits goes on waiting, or is refused
//! if that would take too long. When the gate opens nothing is left to pass at once, and time passes at seven tenths of its
//! speed for all rates of these limits, rising steadily to the whole within 60 s; so they come out one by one. Each further 429
//! takes it down by three tenths again, to a tenth at the least, but one to a request that was sent before the last stop does
//! not: it tells nothing of the speed since. With Azure's profile one that asks for a second or less takes it down by three hundredths
//! only: it tells of a slice that was full, and the next one is empty. Where concurrency alone is limited they come out as many at once as it allows.
//!
//! **Headers** that tell what is left (every form that [`towline_wire::limits`] reads) can only lower what is believed here: to
//! what they say, less what was charged since that request was. Of several dimensions the one that is closest to its end is
//! lowered, and no other. An answer to a request that was sent before the last one heard changes nothing. Anthropic rounds
//! tokens to the thousand: a round number is taken for 500 more.
//!
//! # Limits that are not known
//!
//! [`find_requests_per_minute`](RateLimitLayer::find_requests_per_minute) begins low. As long as requests wait in line and are
//! answered well, it allows a tenth of what it began with more every 6 s; a 429 takes it down to seven tenths of what it had
//! reached, in place of the slowness of above, and closes the gate as above. The handle's
//! [`limits`](RateLimitHandle::limits) tell what has been found. What a target had found is forgotten with it.
//!
//! # Errors
//!
//! `LimitedLocally` with the wait (none where only others under way are in the way: nobody knows) as `retry_after`, of local origin and not worth a retry at this target (a fallback
//! may go elsewhere); without a wait, and with a [`RequestTooLarge`] as its
//! source, if no wait would help; `DeadlineExceeded` if a deadline passed in line. Errors from beneath are handed on, as
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
//! A request that need not wait costs a short lock, a second one at the end of its answer where tokens or concurrency are
//! limited, a look through the answer's headers, and no allocation (the first to each target makes that target's
//! bucket). One that waits costs two allocations, for its turn and for what is to be sent then, and three polls: it joins
//! the line, becomes its head, and passes. An unlimited layer forwards `poll_ready` and `call` and costs nothing.
//!
//! # What it does not do
//!
//! It finds no limits but those of requests a minute. Each process has its own limits; give each of `n`
//! replicas an `n`th. Targets share a limit only if they share a name. A target that nobody has asked for in ten
//! minutes, or in the time in which its bucket fills where that is longer, is forgotten, being full again.

mod bare;
mod body;
mod books;
mod bucket;
mod cost;
mod explain;
mod future;
mod handle;
mod layer;
mod limiter;
mod limits;
mod pace;
mod profile;
mod reservation;
mod search;
mod service;
mod shared;
mod sync;
mod too_large;

#[doc(hidden)]
pub use bare::Bare;
pub use body::LimitedBody;
pub use cost::{Estimate, Estimated};
pub use future::ResponseFuture;
pub use handle::RateLimitHandle;
pub use layer::RateLimitLayer;
pub use limits::{Dimension, Limits};
pub use profile::Profile;
pub use service::RateLimit;
pub use too_large::RequestTooLarge;
