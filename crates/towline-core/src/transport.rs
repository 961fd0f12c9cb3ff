//! Telling transport errors apart by walking `source()`.
//!
//! Only an error of the connector, or of a request that was never started, proves that the provider did not see the
//! request; everything after that is ambiguous for a request that is billed. The chains that hyper, hyper-util and
//! reqwest really build differ from what their predicates suggest, so each link is looked at and the most telling one wins.

use std::{error::Error as StdError, io};

use crate::{Error, Failure, FailureKind, Origin, Phase, RetryVerdict, Scope};

impl Failure {
    /// Reads a failure from an error and all that lies beneath it.
    ///
    /// | link in the chain | failure |
    /// |---|---|
    /// | an [`Error`] of ours | what it says |
    /// | refused, unreachable, DNS, an error of the connector | `Connect`: never sent |
    /// | a certificate or handshake that was rejected | `Connect`, never retried |
    /// | a connect timeout | `Timeout(Connect)` |
    /// | reset, closed, incomplete message | `Transport`: sent, fate unknown |
    /// | not HTTP | `Malformed` |
    /// | a relative URI and other mistakes of the user | `InvalidRequest`, of the caller |
    /// | `tokio`'s `Elapsed` | `Timeout(Total)` |
    /// | anything else | `Unknown` |
    #[must_use]
    pub fn from_error(error: &(dyn StdError + 'static)) -> Self {
        failure_of(error)
    }
}

pub(crate) fn failure_of(error: &(dyn StdError + 'static)) -> Failure {
    let mut seen = Seen::default();
    let mut link = Some(error);
    // A chain that bites its own tail would be somebody's bug; it must not become our endless loop.
    for _ in 0..32 {
        let Some(error) = link else { break };
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.failure().clone();
        }
        link = seen.look_at(error);
    }
    seen.verdict()
}

/// What the links of one chain have told so far.
#[derive(Default)]
struct Seen {
    connector: bool,
    unstarted: bool,
    rejected_tls: bool,
    lost: bool,
    timed_out: bool,
    elapsed: bool,
    malformed: bool,
    mistake: bool,
    too_long: bool,
}

impl Seen {
    /// Notes what one link tells and returns the next one.
    fn look_at<'a>(&mut self, error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            self.look_at_io(io);
            // `io::Error::source` skips the error that it wraps.
            if let Some(inner) = io.get_ref() {
                return Some(inner);
            }
        } else if error.is::<http::Error>() || error.is::<http::uri::InvalidUri>() {
            self.mistake = true;
        } else if error.is::<tokio::time::error::Elapsed>() {
            self.elapsed = true;
        } else if error.is::<http_body_util::LengthLimitError>() {
            self.too_long = true;
        } else {
            self.look_at_client(error);
        }
        error.source()
    }

    fn look_at_io(&mut self, error: &io::Error) {
        use io::ErrorKind as K;
        match error.kind() {
            K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable | K::NetworkDown | K::AddrNotAvailable => {
                self.connector = true;
            }
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::NotConnected | K::UnexpectedEof => self.lost = true,
            K::TimedOut => self.timed_out = true,
            // TLS stacks wrap what they reject so: bad certificates, a peer that does not speak TLS.
            K::InvalidData => self.rejected_tls |= tls_words(&error.to_string()),
            _ => {}
        }
    }

    #[cfg(feature = "hyper")]
    fn look_at_client(&mut self, error: &(dyn StdError + 'static)) {
        if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            self.connector |= client.is_connect();
            // Its kinds are private but for `is_connect`; the mistakes of a user all begin so.
            self.mistake |= client.to_string().starts_with("client error (User");
        } else if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
            self.lost |= hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_body_write_aborted();
            self.unstarted |= hyper.is_canceled();
            self.malformed |= hyper.is_parse();
            self.timed_out |= hyper.is_timeout();
            self.mistake |= hyper.is_user();
        } else {
            self.look_at_words(error);
        }
    }

    #[cfg(not(feature = "hyper"))]
    fn look_at_client(&mut self, error: &(dyn StdError + 'static)) {
        self.look_at_words(error);
    }

    /// Errors whose types are private, or of crates that we do not know, by what they have always said.
    fn look_at_words(&mut self, error: &(dyn StdError + 'static)) {
        let words = error.to_string();
        self.connector |=
            words.starts_with("dns error") || words.starts_with("tcp connect error") || words.starts_with("tcp open error");
        // hyper-util's connector about a scheme that it does not speak, and a URI without a host.
        self.mistake |= words.starts_with("invalid URL");
        // HTTP/2's own proof that a request was not processed.
        self.unstarted |= words.contains("refused stream") || words.contains("REFUSED_STREAM");
        self.rejected_tls |= tls_words(&words);
    }

    fn verdict(&self) -> Failure {
        use FailureKind as K;
        if self.mistake {
            Failure::new(K::InvalidRequest).origin(Origin::Caller)
        } else if self.too_long {
            Failure::new(K::PayloadTooLarge).scope(Scope::Request).origin(Origin::Caller)
        } else if self.rejected_tls {
            Failure::new(K::Connect).retry(RetryVerdict::Never)
        } else if self.connector && self.timed_out {
            Failure::new(K::Timeout(Phase::Connect))
        } else if self.connector || (self.unstarted && !self.lost) {
            Failure::new(K::Connect)
        } else if self.malformed {
            Failure::new(K::Malformed)
        } else if self.elapsed {
            Failure::new(K::Timeout(Phase::Total))
        } else if self.timed_out {
            Failure::new(K::Timeout(Phase::Head))
        } else if self.lost || self.unstarted {
            Failure::new(K::Transport)
        } else {
            Failure::new(K::Unknown)
        }
    }
}

fn tls_words(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "certificate",
        "tls handshake",
        "ssl",
        "handshake failure",
        "received fatal alert",
        "not a valid dns name",
        "received corrupt message",
    ]
    .iter()
    .any(|w| words.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BoxError;

    fn kind(error: impl Into<BoxError>) -> FailureKind {
        failure_of(&*error.into()).kind
    }

    #[test]
    fn io_errors_are_told_apart_by_their_kind() {
        for (io, expected) in [
            (io::ErrorKind::ConnectionRefused, FailureKind::Connect),
            (io::ErrorKind::HostUnreachable, FailureKind::Connect),
            (io::ErrorKind::ConnectionReset, FailureKind::Transport),
            (io::ErrorKind::UnexpectedEof, FailureKind::Transport),
            (io::ErrorKind::TimedOut, FailureKind::Timeout(Phase::Head)),
            (io::ErrorKind::PermissionDenied, FailureKind::Unknown),
        ] {
            assert_eq!(kind(io::Error::from(io)), expected, "{io:?}");
        }
    }

    #[test]
    fn an_error_of_ours_is_found_beneath_a_stranger() {
        let ours = Error::new(Failure::new(FailureKind::CircuitOpen));
        assert_eq!(kind(io::Error::other(ours)), FailureKind::CircuitOpen);
    }

    #[test]
    fn a_rejected_certificate_is_never_retried() {
        let failure = failure_of(&io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"));
        assert_eq!((failure.kind, failure.retry), (FailureKind::Connect, RetryVerdict::Never));
    }

    #[test]
    fn a_request_that_cannot_be_built_is_the_callers_mistake() {
        let error = http::Request::builder().uri("no spaces allowed").body(()).unwrap_err();
        let failure = failure_of(&error);
        assert_eq!(
            (failure.kind, failure.origin, failure.retry),
            (FailureKind::InvalidRequest, Origin::Caller, RetryVerdict::Never)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_elapsed_timeout_is_a_timeout() {
        let elapsed = tokio::time::timeout(std::time::Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(kind(elapsed), FailureKind::Timeout(Phase::Total));
    }

    #[test]
    fn a_chain_of_strangers_is_unknown() {
        assert_eq!(kind("something else"), FailureKind::Unknown);
    }
}
