//! What LLM providers say on the wire, without I/O: no sockets, no async, bytes in and meaning out.
//!
//! towline's layers read requests and answers through this crate; it stands just as well alone.
//!
//! - [`facts`]: what a request says about itself: dialect, model, stream, tokens.
//! - [`patch`]: putting another model into a request, byte for byte.
//! - [`error`]: what an HTTP answer's failure really is. Status codes get three fifths of them right; the rest stands in bodies,
//!   in headers, and in successes that are none.
//! - [`limits`]: the limits that headers tell, in every provider's form.
//! - [`stream`]: what a streamed answer says, event by event: when content begins, what went wrong, whether it came to its end.
//! - [`sse`] and [`eventstream`]: the framings beneath it, server-sent events and AWS' binary messages.
//!
//! # How a failure is recognised
//!
//! No configuration is needed: every table reads every answer, since a proxy may put any provider's error into any envelope.
//! What an envelope says is collected first, over all its levels, JSON inside strings included: codes, messages, waits. Then
//! decides, in this order:
//!
//! 1. numbers that prove that the request never fits ("Limit 30000, Requested 30601"), and Google's quota ids;
//! 2. a code whose meaning certain words change, then a code that means one thing;
//! 3. words of a provider's own, in a recognisable envelope; a page of HTML is none;
//! 4. a code that names a class (`rate_limit_error`); then the status; then codes that all errors share.
//!
//! Of several rules of one weight, that one counts whose class comes first: quota, rate limit, transient, credential, model,
//! caller. A wait is read from headers, then from Google's `RetryInfo`, then from fields of the body, then from prose.
//!
//! # What it promises
//!
//! Nothing here panics, whatever the bytes; each reader takes linear time and bounded memory. Garbage is `None`, never a wrong
//! number. Providers' texts are looked at and not kept: no type of this crate that describes a failure holds one.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use http::{HeaderMap, StatusCode};
//! use towline_core::{FailureKind, RetryVerdict};
//! use towline_wire::error::Answer;
//!
//! let body = br#"{"error":{"message":"Rate limit reached. Please try again in 1m2.5s.","code":"rate_limit_exceeded"}}"#;
//! let answer = Answer { status: StatusCode::TOO_MANY_REQUESTS, headers: &HeaderMap::new(), body, dialect: None };
//! let failure = answer.failure(SystemTime::UNIX_EPOCH).unwrap();
//! assert_eq!(failure.kind, FailureKind::RateLimited);
//! assert_eq!(failure.hint.retry_after, Some(Duration::from_millis(62_500)));
//!
//! let body = br#"{"error":{"message":"You exceeded your current quota.","code":"insufficient_quota"}}"#;
//! let failure = Answer { body, ..answer }.failure(SystemTime::UNIX_EPOCH).unwrap();
//! assert_eq!((failure.kind, failure.retry), (FailureKind::QuotaExhausted, RetryVerdict::Never));
//! ```

mod duration;
pub mod error;
pub mod eventstream;
pub mod facts;
mod lenient;
pub mod limits;
pub mod patch;
mod path;
mod scan;
pub mod sse;
pub mod stream;
