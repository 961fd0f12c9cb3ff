//! What a failure says about the provider.

use towline_core::{Failure, FailureKind, Origin, Scope};

/// What the outcome of an attempt means to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The provider is well: ends a run of failures, and is one of the successes that close a half-open circuit.
    Success,
    /// The provider is in trouble: joins the run and the window, and reopens a half-open circuit.
    Failure,
    /// The provider is alive but has had enough: neither joins nor ends a run, but reopens a half-open circuit.
    Soft,
    /// Says nothing: a probe gives its place back, and all else stays as it is.
    Neutral,
}

impl Verdict {
    /// The verdict on `failure` unless [`counts`](crate::CircuitBreakerLayer::counts) says otherwise. The first line that
    /// fits decides:
    ///
    /// | failure | verdict |
    /// |---|---|
    /// | said by ourselves or by the caller (`Origin::Local`, `Origin::Caller`) | `Neutral` |
    /// | `RateLimited` | `Soft` |
    /// | of the request or of the credential (`Scope::Request`, `Scope::Credential`) | `Neutral` |
    /// | `Overloaded`, `ServerError`, `Timeout`, `Connect`, `Transport`, `StreamBroken`, `Malformed`, `Unknown` | `Failure` |
    /// | anything else (`NotFound`, `ContextLength`, `ContentPolicy`, ..) | `Neutral` |
    ///
    /// `Unknown` is an error that nobody could tell apart. It counts, since a circuit that only opens on errors which it
    /// recognises stays closed just when something new goes wrong.
    #[must_use]
    pub const fn of(failure: &Failure) -> Self {
        use FailureKind as K;
        match (failure.origin, failure.kind, failure.scope) {
            (Origin::Local | Origin::Caller, ..) => Self::Neutral,
            (_, K::RateLimited, _) => Self::Soft,
            (.., Scope::Request | Scope::Credential) => Self::Neutral,
            (
                _,
                K::Overloaded
                | K::ServerError
                | K::Timeout(_)
                | K::Connect
                | K::Transport
                | K::StreamBroken
                | K::Malformed
                | K::Unknown,
                _,
            ) => Self::Failure,
            _ => Self::Neutral,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use towline_core::Phase;

    use super::*;

    #[test]
    fn statuses_mean_what_they_say_about_the_provider() {
        let of = |status| Verdict::of(&Failure::from_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()).unwrap());
        for status in [408, 500, 502, 503, 504, 520, 524, 529] {
            assert_eq!(of(status), Verdict::Failure, "{status}");
        }
        for status in [400, 401, 402, 403, 404, 409, 413, 415, 422] {
            assert_eq!(of(status), Verdict::Neutral, "{status}");
        }
        assert_eq!(of(429), Verdict::Soft);
    }

    #[test]
    fn only_what_comes_from_upstream_counts() {
        let timeout = Failure::new(FailureKind::Timeout(Phase::Head));
        assert_eq!(Verdict::of(&timeout), Verdict::Failure);
        for origin in [Origin::Local, Origin::Caller] {
            assert_eq!(Verdict::of(&timeout.clone().origin(origin)), Verdict::Neutral);
        }
        for ours in [FailureKind::CircuitOpen, FailureKind::LimitedLocally, FailureKind::DeadlineExceeded] {
            assert_eq!(Verdict::of(&Failure::new(ours)), Verdict::Neutral);
        }
    }

    #[test]
    fn a_credential_in_trouble_opens_no_circuit() {
        let failure = Failure::new(FailureKind::ServerError);
        assert_eq!(Verdict::of(&failure.clone().scope(Scope::Credential)), Verdict::Neutral);
        assert_eq!(Verdict::of(&failure.scope(Scope::Model)), Verdict::Failure);
    }
}
