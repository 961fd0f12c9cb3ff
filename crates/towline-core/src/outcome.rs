//! What became of an attempt, and the one reader that every layer uses.

use http::{HeaderMap, Response, StatusCode};

use crate::{Error, Failure, FailureKind, Hint, Phase, RetryVerdict, Scope};

/// What became of an attempt.
///
/// `ClassifyLayer` writes it into the response's extensions; a response without it that succeeded by its status is a success.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It failed.
    Failure(Failure),
    /// The caller left before it was known: that says nothing about anybody's health.
    Aborted,
}

impl Outcome {
    /// Reads the outcome of an attempt: the extension that `ClassifyLayer` wrote, else the failure that an error carries or
    /// its source chain tells of, else the status with its headers.
    #[must_use]
    pub fn of<B>(result: Result<&Response<B>, &Error>) -> Self {
        match result {
            Ok(response) => Self::of_response(response),
            Err(error) => Self::Failure(error.failure().clone()),
        }
    }

    /// Reads the outcome of a response. A plain 2xx costs two comparisons.
    #[must_use]
    pub fn of_response<B>(response: &Response<B>) -> Self {
        if let Some(told) = response.extensions().get::<Self>() {
            return told.clone();
        }
        Failure::from_status(response.status(), response.headers()).map_or(Self::Success, Self::Failure)
    }

    /// The failure, if it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            Self::Success | Self::Aborted => None,
        }
    }

    /// The failure, if it failed, by value.
    #[must_use]
    pub fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            Self::Success | Self::Aborted => None,
        }
    }
}

impl Failure {
    /// What a status and its headers alone tell; `None` for a status that is no failure (1xx, 2xx, 304).
    ///
    /// The hint is read on 408, 409, 429 and 5xx only, since only there it speaks of this request.
    #[must_use]
    pub fn from_status(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        use FailureKind as K;
        let failure = match status.as_u16() {
            100..=299 | 304 => return None,
            // Redirects are not followed with somebody's key in the header, and an API that redirects is not the API.
            300..=399 => Self::new(K::Malformed).retry(RetryVerdict::Never),
            401 | 407 => Self::new(K::Auth),
            402 => Self::new(K::QuotaExhausted),
            403 => Self::new(K::Permission),
            404 | 410 => Self::new(K::NotFound),
            408 => Self::new(K::Timeout(Phase::Upstream)).retry(RetryVerdict::Once),
            409 | 423 => Self::new(K::Conflict),
            413 => Self::new(K::PayloadTooLarge),
            424 | 425 => Self::new(K::ServerError),
            429 => Self::new(K::RateLimited),
            // What a proxy reports when its own client, which is us, went away; the answer is not to be had any more.
            499 => Self::new(K::Timeout(Phase::Upstream)),
            400..=499 => Self::new(K::InvalidRequest),
            501 | 505 => Self::new(K::ServerError).scope(Scope::Model).retry(RetryVerdict::Never),
            503 | 529 => Self::new(K::Overloaded),
            504 | 522 | 524 => Self::new(K::Timeout(Phase::Upstream)),
            500..=599 => Self::new(K::ServerError),
            _ => Self::new(K::Malformed),
        };
        let tells = matches!(status.as_u16(), 408 | 409 | 425 | 429 | 500..=599);
        Some(if tells { failure.hint(Hint::from_headers(headers, wall_clock())) } else { failure })
    }
}

/// The wall clock, for reading HTTP-dates where a response has no `Date`; nothing else may look at it.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "an HTTP-date can only be read against a wall clock")]
pub fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn response(status: u16) -> Response<()> {
        Response::builder().status(status).body(()).unwrap()
    }

    fn kind(status: u16) -> Option<FailureKind> {
        Outcome::of_response(&response(status)).into_failure().map(|f| f.kind)
    }

    #[test]
    fn a_status_alone_is_enough_for_sound_behaviour() {
        for ok in [200, 201, 204, 206, 304] {
            assert_eq!(kind(ok), None);
        }
        assert_eq!(kind(302), Some(FailureKind::Malformed));
        assert_eq!(kind(400), Some(FailureKind::InvalidRequest));
        assert_eq!(kind(401), Some(FailureKind::Auth));
        assert_eq!(kind(429), Some(FailureKind::RateLimited));
        assert_eq!(kind(500), Some(FailureKind::ServerError));
        assert_eq!(kind(529), Some(FailureKind::Overloaded));
        assert_eq!(kind(599), Some(FailureKind::ServerError));
        assert_eq!(kind(999), Some(FailureKind::Malformed));
    }

    #[test]
    fn the_extension_overrules_the_status() {
        let mut told = response(200);
        told.extensions_mut().insert(Outcome::Failure(Failure::new(FailureKind::Overloaded)));
        assert_eq!(Outcome::of(Ok(&told)).into_failure().map(|f| f.kind), Some(FailureKind::Overloaded));
        let mut denied = response(503);
        denied.extensions_mut().insert(Outcome::Success);
        assert_eq!(Outcome::of_response(&denied), Outcome::Success);
    }

    #[test]
    fn a_hint_is_read_only_where_it_speaks_of_this_request() {
        let told = |status: u16| {
            let response = Response::builder().status(status).header("retry-after", "3").body(()).unwrap();
            Outcome::of_response(&response).into_failure().and_then(|f| f.hint.retry_after)
        };
        assert_eq!(told(429), Some(Duration::from_secs(3)));
        assert_eq!(told(503), Some(Duration::from_secs(3)));
        assert_eq!(told(400), None);
    }

    #[test]
    fn an_error_tells_its_own_failure() {
        let error = Error::new(Failure::new(FailureKind::CircuitOpen));
        assert_eq!(Outcome::of::<()>(Err(&error)).into_failure().map(|f| f.kind), Some(FailureKind::CircuitOpen));
    }
}
