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
#[cfg(feature = "tokenizer")]
pub mod tokenizer;
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
pub use towline_call::{CallFuture, CallLayer, CallService};
#[cfg(feature = "circuit-breaker")]
pub use towline_circuit_breaker::{
    CircuitBreaker, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState, CircuitStatus, GuardedBody,
    ResponseFuture as CircuitBreakerFuture, Transition, Transitions, Verdict,
};
#[cfg(feature = "classify")]
pub use towline_classify::{ClassifiedBody, Classify, ClassifyLayer, ResponseFuture as ClassifyFuture};
pub use towline_core::{
    Attempt, Authorize, Authorized, BoxError, Call, Credential, Dialect, Error, Event, Facts, Failure, FailureKind, Hint,
    InvalidConfig, Jitter, Observe, Observer, Origin, Outcome, Phase, Price, RetryBudget, RetryVerdict, Scope, StopReason,
    StreamEnd, StreamHandle, Target, Unsigned, Usage, Withdrawal, body, for_body,
};
#[cfg(feature = "fallback")]
pub use towline_fallback::{
    AuthorizeFuture, AuthorizeLayer, AuthorizeService, Cache, Degrade, DegradeBody, DegradeFuture, DegradeLayer, Degraded,
    Fallback, FallbackLayer, Handover, KeyState, KeysExhausted, Queue, ResponseFuture as FallbackFuture, Tokens, Via, ViaFuture,
};
#[cfg(feature = "rate-limit")]
pub use towline_rate_limit::{
    Dimension, Estimate, Estimated, LimitedBody, Limits, Profile, RateLimit, RateLimitHandle, RateLimitLayer, RequestTooLarge,
    ResponseFuture as RateLimitFuture,
};
#[cfg(feature = "reqwest")]
pub use towline_reqwest::{RelativeUri, Reqwest, ResponseBody as ReqwestBody, ResponseFuture as ReqwestFuture};
#[cfg(feature = "retry")]
pub use towline_retry::{ResponseFuture as RetryFuture, Retry, RetryLayer};
#[cfg(feature = "timeout")]
pub use towline_timeout::{
    ConnectFuture, ConnectTimeout, Limits as TimeLimits, ResponseFuture as TimeoutFuture, TimedBody, Timeout, TimeoutLayer,
};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
