//! Whether to try again, and when: a pure function of what failed and how often.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use http::StatusCode;
use towline_core::{Failure, FailureKind, Origin, Phase, RetryVerdict, Scope, StopReason};

use crate::backoff::{Backoff, spread};

#[derive(Clone)]
pub(crate) struct Policy {
    /// The most attempts of a call.
    pub(crate) attempts: NonZeroU32,
    pub(crate) transient: Backoff,
    pub(crate) throttled: Backoff,
    /// The longest wait that a provider may ask for.
    pub(crate) max_server_delay: Duration,
    pub(crate) table: Option<Arc<Table>>,
}

/// The most attempts for a failure, where it is not the usual number.
pub(crate) type Table = dyn Fn(&Failure) -> Option<u32> + Send + Sync;

/// What is known when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) failure: &'a Failure,
    pub(crate) status: Option<StatusCode>,
    /// The attempts so far, without the one that was free.
    pub(crate) attempts: u32,
    /// Whether the free one was made.
    pub(crate) free_made: bool,
    /// Whether another target waits.
    pub(crate) has_alternative: bool,
    /// The target's own number of attempts, if it has one.
    pub(crate) own: Option<NonZeroU32>,
    /// What is left until the call's deadline, if it has one.
    pub(crate) remaining: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry {
        wait: Duration,
        /// Neither counted as an attempt nor paid for: the last one never left.
        free: bool,
    },
    Stop(StopReason),
}

/// How long a provider that limits the rate is waited for while another target waits: longer, and the other one is quicker.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A gateway that lost its upstream has often found another one when it is asked again.
const BAD_GATEWAY_BASE: Duration = Duration::from_millis(100);

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::MIN.saturating_add(2),
            transient: Backoff::TRANSIENT,
            throttled: Backoff::THROTTLED,
            max_server_delay: Duration::from_secs(60),
            table: None,
        }
    }
}

impl Policy {
    /// Whether a second attempt can ever be made at a target with this number of its own, so that it is worth keeping a copy of the
    /// request.
    pub(crate) fn may_retry(&self, own: Option<NonZeroU32>) -> bool {
        own.unwrap_or(self.attempts) > NonZeroU32::MIN || self.table.is_some()
    }

    /// Decides what follows a failure. `up_to` draws a wait between zero and its argument; it is asked once at most.
    pub(crate) fn decide(&self, failed: &Failed<'_>, up_to: impl FnOnce(Duration) -> Duration) -> Decision {
        let failure = failed.failure;
        let elsewhere = failed.has_alternative && failure.kind == FailureKind::RateLimited;
        let usual = failed.own.unwrap_or(self.attempts).get();
        let Some(most) = self.most(failure, usual, elsewhere) else { return Decision::Stop(StopReason::NotRetryable) };
        let free = failure.kind == FailureKind::Connect && !failed.free_made && most > 1;
        if failed.attempts >= most && !free {
            return Decision::Stop(StopReason::Attempts);
        }
        let wait = match failure.hint.retry_after {
            _ if free => Duration::ZERO,
            Some(hint) if hint > self.max_server_delay || (elsewhere && hint > PATIENCE) => {
                return Decision::Stop(StopReason::WaitTooLong);
            }
            Some(hint) => hint.saturating_add(up_to(spread(hint))),
            None => up_to(self.backoff(failed).ceiling(failed.attempts.saturating_sub(1))),
        };
        if failed.remaining.is_some_and(|remaining| wait >= remaining) {
            return Decision::Stop(StopReason::Deadline);
        }
        Decision::Retry { wait, free }
    }

    /// The most attempts for a failure; `None` if it is not worth a further one.
    fn most(&self, failure: &Failure, usual: u32, elsewhere: bool) -> Option<u32> {
        if !is_worth_a_retry(failure) {
            return None;
        }
        let told = self.table.as_ref().and_then(|table| table(failure));
        match failure.retry {
            _ if told.is_some() => told,
            _ if is_silence(failure.kind) => None,
            RetryVerdict::Once => Some(usual.min(2)),
            _ if elsewhere => Some(usual.min(2)),
            _ => Some(usual),
        }
    }

    fn backoff(&self, failed: &Failed<'_>) -> Backoff {
        match failed.failure.kind {
            FailureKind::RateLimited | FailureKind::Overloaded => self.throttled,
            FailureKind::ServerError if failed.status == Some(StatusCode::BAD_GATEWAY) => self.transient.sooner(BAD_GATEWAY_BASE),
            _ => self.transient,
        }
    }
}

/// The provider's own word goes before our verdict, but it cannot make a wrong request right or a spent account full.
fn is_worth_a_retry(failure: &Failure) -> bool {
    failure.origin == Origin::Upstream
        && match failure.hint.should_retry {
            Some(false) => false,
            Some(true) if matches!(failure.scope, Scope::Provider | Scope::Model) => true,
            Some(true) | None => failure.retry != RetryVerdict::Never,
        }
}

/// Whoever was silent for a whole time limit would have to be waited for as long again.
fn is_silence(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Timeout(Phase::Head | Phase::FirstContent | Phase::Total))
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("attempts", &self.attempts)
            .field("transient", &self.transient)
            .field("throttled", &self.throttled)
            .field("max_server_delay", &self.max_server_delay)
            .field("has_table", &self.table.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
