//! The words that towline's layers share.
//!
//! A layer knows this crate and no other layer. What it learns it reads from here, what it has to say it says in these types:
//!
//! - **down** the stack go [`Call`] (what the caller asked for once: facts, deadline, trail) and [`Target`] (one place to send it
//!   to), as extensions of the request;
//! - **up** come an [`Outcome`] with its [`Failure`] as extension of the response and, for a stream, a [`StreamHandle`]; or an [`Error`];
//! - **sideways** goes nothing. Whoever wants to watch implements [`Observe`].
//!
//! Every layer reads what became of an attempt with [`Outcome::of`]: the extension that `ClassifyLayer` wrote, else the error's
//! source chain, else the status. So each works alone, and better with `ClassifyLayer` beneath it.
//!
//! ```
//! use towline_core::{FailureKind, Outcome, RetryVerdict, Scope};
//!
//! let response = http::Response::builder().status(429).header("retry-after", "1.5").body(()).unwrap();
//! let failure = Outcome::of_response(&response).into_failure().unwrap();
//! assert_eq!(failure.kind, FailureKind::RateLimited);
//! assert_eq!(failure.retry, RetryVerdict::Backoff);
//! assert_eq!(failure.scope, Scope::Credential);
//! assert_eq!(failure.hint.retry_after, Some(std::time::Duration::from_millis(1500)));
//! ```
//!
//! # Features
//!
//! `hyper` (default): tell the errors of hyper and hyper-util apart by their types. Without it only their `io::Error`s speak.

mod authorize;
pub mod body;
mod budget;
mod call;
mod check;
mod config;
mod error;
mod failure;
mod hint;
mod jitter;
mod kept;
mod keyed;
mod observe;
mod outcome;
mod ready;
pub mod say;
mod stream;
mod target;
mod transport;

pub use authorize::{Authorize, Authorized, Unsigned};
pub use budget::{RetryBudget, Withdrawal};
pub use call::{Attempt, Call, Facts};
pub use check::{IsHttp, for_body};
pub use config::InvalidConfig;
pub use error::Error;
pub use failure::{Failure, FailureKind, Hint, Origin, Phase, RetryVerdict, Scope};
pub use hint::decimal_seconds;
pub use jitter::Jitter;
pub use kept::KeptRequest;
pub use keyed::Keyed;
pub use observe::{Event, Observe, Observer, StopReason};
pub use outcome::{Outcome, wall_clock};
pub use ready::{AtOnce, Spare, ready_at_once};
pub use stream::{StreamEnd, StreamHandle, Usage};
pub use target::{Credential, Dialect, Price, Target};

/// Any error at all: what the services beneath a layer may answer with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
