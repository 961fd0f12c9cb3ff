#![doc = include_str!("../docs/front.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
pub mod axum;
mod boxed;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "stack")]
mod preset;
#[cfg(feature = "stack")]
mod stack;
#[cfg(feature = "tracing")]
mod tracing;

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/composition.md")]
pub mod composition {}

#[cfg(feature = "stack")]
#[doc = include_str!("../docs/presets.md")]
pub mod presets {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

pub use boxed::{Body, BoxService, boxed};
#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
#[cfg(feature = "stack")]
pub use preset::{BreakerRule, Preset, Role, Wanted};
#[cfg(feature = "stack")]
pub use stack::{Stack, StackService, stack};
#[cfg(feature = "tracing")]
pub use tracing::TracingObserver;

#[cfg(feature = "call")]
pub use towline_call::{CallLayer, CallService};
#[cfg(feature = "circuit-breaker")]
pub use towline_circuit_breaker::{
    CircuitBreaker, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState, CircuitStatus, Transition, Transitions, Verdict,
};
#[cfg(feature = "classify")]
pub use towline_classify::{Classify, ClassifyLayer};
pub use towline_core::{
    Attempt, Authorize, Authorized, BoxError, Call, Credential, Dialect, Error, Event, Facts, Failure, FailureKind, Hint,
    InvalidConfig, Jitter, Observe, Observer, Origin, Outcome, Phase, Price, RetryBudget, RetryVerdict, Scope, StopReason,
    StreamEnd, StreamHandle, Target, Unsigned, Usage, body, for_body,
};
#[cfg(feature = "fallback")]
pub use towline_fallback::{
    AuthorizeLayer, AuthorizeService, Cache, Degrade, DegradeBody, DegradeLayer, Degraded, Fallback, FallbackLayer, Handover,
    KeyState, KeysExhausted, Queue, Tokens, Via,
};
#[cfg(feature = "rate-limit")]
pub use towline_rate_limit::{
    Dimension, Estimate, Estimated, Limits, Profile, RateLimit, RateLimitHandle, RateLimitLayer, RequestTooLarge,
};
#[cfg(feature = "reqwest")]
pub use towline_reqwest::Reqwest;
#[cfg(feature = "retry")]
pub use towline_retry::{Retry, RetryLayer};
#[cfg(feature = "timeout")]
pub use towline_timeout::{ConnectTimeout, Timeout, TimeoutLayer};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
