//! The observer that writes to `tracing`.

use ::tracing::{debug, info, warn};
use towline_core::{Event, Observe, Target};

/// Writes each decision as an event of `tracing`, with target `towline`.
///
/// Refusals, openings and exhausted fallbacks are warnings; moves, retries and recoveries are information; the rest is for debugging. It
/// writes categories, names and times: never a URL, a key or a provider's text.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TracingObserver;

impl TracingObserver {
    /// The observer; there is nothing to configure.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Observe for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::AttemptSucceeded { target, attempt } => {
                debug!(target: "towline", at = name(target), attempt, "an attempt succeeded")
            }
            Event::AttemptFailed { target, attempt, failure } => {
                debug!(target: "towline", at = name(target), attempt, kind = failure.kind.name(), "an attempt failed");
            }
            Event::RetryScheduled { target, attempt, wait, failure } => {
                info!(target: "towline", at = name(target), attempt, ?wait, kind = failure.kind.name(), "retrying");
            }
            Event::RetryStopped { target, attempts, reason, failure } => {
                info!(target: "towline", at = name(target), attempts, ?reason, kind = failure.kind.name(), "no further attempt");
            }
            Event::CircuitOpened { target, retry_after } => {
                warn!(target: "towline", at = name(target), ?retry_after, "the circuit opened")
            }
            Event::CircuitHalfOpened { target } => info!(target: "towline", at = name(target), "the circuit is half-open"),
            Event::CircuitClosed { target } => info!(target: "towline", at = name(target), "the circuit closed"),
            Event::CircuitRejected { target, retry_after } => {
                debug!(target: "towline", at = name(target), ?retry_after, "refused by an open circuit")
            }
            Event::LimitWaiting { target, wait } => {
                debug!(target: "towline", at = name(target), ?wait, "waiting for the rate limit")
            }
            Event::LimitRejected { target, retry_after } => {
                warn!(target: "towline", at = name(target), ?retry_after, "refused by the rate limit")
            }
            Event::LimitClosed { target, pause } => {
                warn!(target: "towline", at = name(target), ?pause, "the provider's rate limit is reached")
            }
            Event::LimitOpened { target } => info!(target: "towline", at = name(target), "going on after the rate limit"),
            Event::TimedOut { target, phase, limit } => {
                warn!(target: "towline", at = name(target), phase = phase.name(), ?limit, "timed out")
            }
            Event::FallbackMoved { from, to, failure } => {
                info!(target: "towline", from = from.name(), to = to.name(), kind = failure.kind.name(), "moving on");
            }
            Event::FallbackExhausted { tried, failure } => {
                warn!(target: "towline", tried, kind = failure.kind.name(), "no target answered")
            }
            Event::StreamEnded { target, end } => debug!(target: "towline", at = name(target), ?end, "the stream ended"),
            _ => debug!(target: "towline", ?event, "decided"),
        }
    }
}

fn name(target: Option<&Target>) -> &str {
    target.map_or("-", Target::name)
}
