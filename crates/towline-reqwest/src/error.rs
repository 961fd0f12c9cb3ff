//! What reqwest's errors say.

use std::{error::Error as StdError, fmt};

use towline_core::{BoxError, Error, Failure, FailureKind, Origin, Phase, RetryVerdict};

/// The URI had no scheme and host, so there is nowhere to send the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelativeUri;

impl fmt::Display for RelativeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's URI is relative: it needs a scheme and a host to be sent anywhere")
    }
}

impl StdError for RelativeUri {}

/// The error of an attempt, told apart and without its URL.
pub(crate) fn of_head(error: BoxError) -> Error {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => {
            let error = error.without_url();
            Error::new(head_failure(&error)).with_source(error)
        }
        Err(stranger) => Error::from(stranger),
    }
}

/// The error of a body, told apart and without its URL.
pub(crate) fn of_body(error: reqwest::Error) -> Error {
    Error::from_body(error.without_url())
}

/// reqwest's predicates where they are proof, else the chain beneath, which knows better.
fn head_failure(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        Failure::new(FailureKind::InvalidRequest).origin(Origin::Caller)
    } else if error.is_redirect() {
        Failure::new(FailureKind::Malformed).retry(RetryVerdict::Never)
    } else if error.is_timeout() && error.is_connect() {
        Failure::new(FailureKind::Timeout(Phase::Connect))
    } else if error.is_timeout() {
        Failure::new(FailureKind::Timeout(Phase::Head))
    } else {
        Failure::from_error(error)
    }
}
