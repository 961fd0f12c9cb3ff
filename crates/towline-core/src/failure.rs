//! What went wrong, said once and read by every layer.

use std::{fmt, time::Duration};

/// Why an attempt did not succeed.
///
/// Small and cheap to clone; it holds categories and numbers, never a provider's text or a key. A kind alone does not
/// decide what to do: the same 403 may be about the model, the key or the money, so [`scope`](Self::scope) and
/// [`retry`](Self::retry) say which.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What is broken: the request, the model, the credential or the provider.
    pub scope: Scope,
    /// Who said no: the provider, we ourselves, or the caller.
    pub origin: Origin,
    /// Whether the same request is worth sending to the same target again.
    pub retry: RetryVerdict,
    /// What the provider told about time.
    pub hint: Hint,
}

/// The kinds of failure, provider-independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The provider limits the rate of requests or tokens; the limit refills by itself.
    RateLimited,
    /// A quota, credit or spending limit is used up; waiting a little does not help.
    QuotaExhausted,
    /// The provider is over capacity (529, "overloaded", flex capacity).
    Overloaded,
    /// The provider failed (5xx without a more precise reason).
    ServerError,
    /// A time limit passed; the phase says which.
    Timeout(Phase),
    /// No connection was made, so the provider never saw the request.
    Connect,
    /// The connection failed after the request may have been sent: its fate is unknown.
    Transport,
    /// An answer began and did not end as it should.
    StreamBroken,
    /// The answer is not what the protocol promises.
    Malformed,
    /// The prompt does not fit the model's window.
    ContextLength,
    /// The request or its answer was refused by a content policy.
    ContentPolicy,
    /// The credential is missing, wrong or expired.
    Auth,
    /// The credential is known but may not do this.
    Permission,
    /// The model, deployment or resource does not exist.
    NotFound,
    /// The request is too large to be accepted at all.
    PayloadTooLarge,
    /// The request conflicts with the state of a resource.
    Conflict,
    /// The request is wrong.
    InvalidRequest,
    /// Nothing is known.
    Unknown,
    /// A circuit breaker of ours is open.
    CircuitOpen,
    /// A rate limiter of ours refused the request.
    LimitedLocally,
    /// The call's deadline passed, or would pass before anything could come of it.
    DeadlineExceeded,
    /// A budget of ours is used up.
    BudgetExhausted,
    /// The request cannot be said in the target's dialect.
    Untranslatable,
}

/// Which time limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting, the TLS handshake included.
    Connect,
    /// Waiting for the head of the response.
    Head,
    /// Waiting for the first content-bearing bytes of a response.
    FirstContent,
    /// Waiting for any further byte.
    Idle,
    /// Waiting for further content; pings do not count.
    ContentIdle,
    /// Waiting for more than a trickle.
    Throughput,
    /// The whole exchange, body included.
    Total,
    /// The provider itself says that time ran out (408, 504).
    Upstream,
}

/// What is broken. It decides who is spared the next request: a key, a model, a provider, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// This request would fail anywhere.
    Request,
    /// This model, deployment or feature of this target; another target may do.
    Model,
    /// The credential or the account behind it.
    Credential,
    /// The provider as a whole.
    Provider,
}

/// Who said no. Only upstream failures say something about a provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The provider or the way to it.
    Upstream,
    /// A layer of ours.
    Local,
    /// The caller: a malformed or oversized request, or one that was given up.
    Caller,
}

/// Whether the same request is worth sending to the same target again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryVerdict {
    /// It cannot succeed.
    Never,
    /// Once more, not oftener (408, 409).
    Once,
    /// After a backoff, as often as the policy allows.
    Backoff,
}

/// What the provider told about time. Stored as told; each reader applies its own cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// How long to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// The provider's own word on whether to retry (`x-should-retry`).
    pub should_retry: Option<bool>,
}

impl Failure {
    /// A failure of `kind` with the scope, origin and verdict that are usual for it.
    #[must_use]
    pub const fn new(kind: FailureKind) -> Self {
        use FailureKind as K;
        let (scope, origin, retry) = match kind {
            K::RateLimited => (Scope::Credential, Origin::Upstream, RetryVerdict::Backoff),
            K::QuotaExhausted | K::Auth | K::Permission => (Scope::Credential, Origin::Upstream, RetryVerdict::Never),
            K::Overloaded
            | K::ServerError
            | K::Timeout(_)
            | K::Connect
            | K::Transport
            | K::StreamBroken
            | K::Malformed
            | K::Unknown => (Scope::Provider, Origin::Upstream, RetryVerdict::Backoff),
            K::ContextLength | K::ContentPolicy | K::NotFound | K::PayloadTooLarge => {
                (Scope::Model, Origin::Upstream, RetryVerdict::Never)
            }
            K::Conflict => (Scope::Request, Origin::Upstream, RetryVerdict::Once),
            K::InvalidRequest => (Scope::Request, Origin::Upstream, RetryVerdict::Never),
            K::CircuitOpen | K::LimitedLocally => (Scope::Provider, Origin::Local, RetryVerdict::Never),
            K::DeadlineExceeded | K::BudgetExhausted | K::Untranslatable => (Scope::Request, Origin::Local, RetryVerdict::Never),
        };
        Self { kind, scope, origin, retry, hint: Hint { retry_after: None, should_retry: None } }
    }

    /// Whether a layer of ours refused the attempt, so that it never left and costs nothing. A deadline may have passed on the way.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.origin == Origin::Local && self.kind != FailureKind::DeadlineExceeded
    }

    /// The same failure with another scope.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The same failure with another origin.
    #[must_use]
    pub const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The same failure with another verdict on retrying.
    #[must_use]
    pub const fn retry(mut self, retry: RetryVerdict) -> Self {
        self.retry = retry;
        self
    }

    /// The same failure with what the provider told about time.
    #[must_use]
    pub const fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// The same failure with a wait of `after`.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.hint.retry_after = Some(after);
        self
    }
}

impl Hint {
    /// A hint that tells nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { retry_after: None, should_retry: None }
    }

    /// The same hint with the time to wait before the next attempt.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The same hint with the provider's word on whether to retry.
    #[must_use]
    pub const fn with_should_retry(mut self, should: Option<bool>) -> Self {
        self.should_retry = should;
        self
    }
}

impl FailureKind {
    /// The kind's name in snake case, as it stands in trails, logs and configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limit",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Timeout(_) => "timeout",
            Self::Connect => "connect",
            Self::Transport => "transport",
            Self::StreamBroken => "stream_broken",
            Self::Malformed => "malformed",
            Self::ContextLength => "context_length",
            Self::ContentPolicy => "content_policy",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Conflict => "conflict",
            Self::InvalidRequest => "invalid_request",
            Self::Unknown => "unknown",
            Self::CircuitOpen => "circuit_open",
            Self::LimitedLocally => "limited_locally",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::BudgetExhausted => "budget_exhausted",
            Self::Untranslatable => "untranslatable",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Phase {
    /// The phase's name in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Head => "head",
            Self::FirstContent => "first_content",
            Self::Idle => "idle",
            Self::ContentIdle => "content_idle",
            Self::Throughput => "throughput",
            Self::Total => "total",
            Self::Upstream => "upstream",
        }
    }
}

/// One line for people: the kind, the phase of a timeout, and the wait that was told.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FailureKind::RateLimited => "the provider limits the rate",
            FailureKind::QuotaExhausted => "a quota at the provider is used up",
            FailureKind::Overloaded => "the provider is overloaded",
            FailureKind::ServerError => "the provider failed",
            FailureKind::Timeout(phase) => match phase {
                Phase::Connect => "no connection within its time limit",
                Phase::Head => "no response head within its time limit",
                Phase::FirstContent => "no content within its time limit",
                Phase::Idle => "the response went silent",
                Phase::ContentIdle => "the response brought no further content",
                Phase::Throughput => "the response came too slowly",
                Phase::Total => "the exchange took longer than its time limit",
                Phase::Upstream => "the provider reports a timeout",
            },
            FailureKind::Connect => "no connection could be made",
            FailureKind::Transport => "the connection failed while the request was under way",
            FailureKind::StreamBroken => "the response ended before it was complete",
            FailureKind::Malformed => "the response is malformed",
            FailureKind::ContextLength => "the prompt does not fit the model's context window",
            FailureKind::ContentPolicy => "refused by a content policy",
            FailureKind::Auth => "the credential was not accepted",
            FailureKind::Permission => "the credential may not do this",
            FailureKind::NotFound => "the model or resource was not found",
            FailureKind::PayloadTooLarge => "the request is too large",
            FailureKind::Conflict => "the request conflicts with the state of a resource",
            FailureKind::InvalidRequest => "the request is invalid",
            FailureKind::Unknown => "the attempt failed for an unknown reason",
            FailureKind::CircuitOpen => "the circuit is open",
            FailureKind::LimitedLocally => "refused by the local rate limit",
            FailureKind::DeadlineExceeded => "the call's deadline has passed or would pass",
            FailureKind::BudgetExhausted => "a local budget is used up",
            FailureKind::Untranslatable => "the request cannot be said in the target's dialect",
        };
        f.write_str(what)?;
        match self.hint.retry_after {
            // To the millisecond, rounded up: nobody reads nanoseconds, and too early is the one mistake.
            Some(after) => write!(
                f,
                "; retry after {:?}",
                Duration::from_millis(u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
            ),
            None => Ok(()),
        }
    }
}
