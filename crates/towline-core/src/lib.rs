//! being written
pub mod body;
mod failure;
mod hint;
pub use failure::{Failure, FailureKind, Hint, Origin, Phase, RetryVerdict, Scope};
pub use hint::decimal_seconds;

/// Any error at all: what the services beneath a layer may answer with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
