//! The one error that every layer answers with.

use std::{error::Error as StdError, fmt};

use crate::{BoxError, Call, Failure, FailureKind, Hint, transport};

/// What a layer answers with when there is no response.
///
/// One pointer wide. It always says which [`Failure`] it is: that of a refusal of ours, or the one that the error's source chain
/// tells of ([`Failure::from_error`]). When layers stack it flattens itself: a layer that receives an `Error` in a box hands on that very error.
///
/// `Display` names categories only, and the trail where there is one. The original error is behind
/// [`source`](StdError::source); what *it* prints is its own affair, except that `towline-reqwest` strips the URLs.
pub struct Error(Box<Inner>);

struct Inner {
    failure: Failure,
    call: Option<Call>,
    source: Option<BoxError>,
}

impl Error {
    /// An error that says `failure`.
    #[must_use]
    pub fn new(failure: Failure) -> Self {
        Self(Box::new(Inner { failure, call: None, source: None }))
    }

    /// The same error with what lies beneath it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with the call that it ended.
    #[must_use]
    pub fn with_call(mut self, call: Call) -> Self {
        self.0.call = Some(call);
        self
    }

    /// The same error with another hint: whoever hands it on may know of an earlier recovery than the one that it tells of.
    #[must_use]
    pub fn with_hint(mut self, hint: Hint) -> Self {
        self.0.failure.hint = hint;
        self
    }

    /// An error that came while the *body* of a response was read: what would have been a lost connection
    /// is a response that broke off ([`FailureKind::StreamBroken`]).
    #[must_use]
    pub fn from_body(error: impl Into<BoxError>) -> Self {
        let mut error = Self::from(error.into());
        if matches!(error.0.failure.kind, FailureKind::Transport | FailureKind::Unknown) {
            error.0.failure.kind = FailureKind::StreamBroken;
        }
        error
    }

    /// What failed.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// The kind of what failed.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.failure.kind
    }

    /// The call that this error ended, with its trail, if `CallLayer` stands in the stack.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        self.0.call.as_ref()
    }
}

impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(error) => Self::new(transport::failure_of(&*error)).with_source(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.failure.fmt(f)?;
        let trail = self.0.call.as_ref().map(Call::trail).unwrap_or_default();
        for (nth, attempt) in trail.iter().enumerate() {
            write!(f, "{}{attempt}", if nth == 0 { " (tried " } else { ", " })?;
        }
        if trail.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source is told by its type's own words only where a reader asks for it: they may hold a URL with a key in it.
        f.debug_struct("Error")
            .field("failure", &self.0.failure)
            .field("call", &self.0.call)
            .field("has_source", &self.0.source.is_some())
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source: &(dyn StdError + 'static) = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::{Attempt, Facts};

    #[test]
    fn stacking_layers_flattens_to_one_error() {
        let error = Error::from(BoxError::from(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let boxed: BoxError = error.into();
        let again = Error::from(boxed);
        assert_eq!(again.kind(), FailureKind::Connect);
        assert!(again.source().unwrap().is::<io::Error>(), "one step to the original, however many layers");
    }

    #[test]
    fn it_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn neither_display_nor_debug_quotes_what_lies_beneath() {
        let source = io::Error::other("GET https://host/?key=s3cret");
        let error = Error::from(BoxError::from(source));
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn the_message_names_the_attempts_of_the_call() {
        let now = Instant::now().into_std().into();
        let call = Call::new(Facts::default(), now, None);
        call.record(Attempt {
            target: Some("primary".into()),
            failure: Some(FailureKind::RateLimited),
            status: Some(http::StatusCode::TOO_MANY_REQUESTS),
            ..Attempt::new(now, now + Duration::from_millis(12))
        });
        call.record(Attempt { target: Some("second".into()), failure: Some(FailureKind::Connect), ..Attempt::new(now, now) });
        let error = Error::new(Failure::new(FailureKind::Connect)).with_call(call);
        assert_eq!(
            error.to_string(),
            "no connection could be made (tried primary: rate_limit 429 after 12ms, second: connect after 0ms)"
        );
    }

    #[test]
    fn a_connection_lost_within_a_body_is_a_broken_stream() {
        let error = Error::from_body(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(error.kind(), FailureKind::StreamBroken);
        let refused = Error::from_body(Error::new(Failure::new(FailureKind::DeadlineExceeded)));
        assert_eq!(refused.kind(), FailureKind::DeadlineExceeded, "our own refusals keep their kind");
    }
}
