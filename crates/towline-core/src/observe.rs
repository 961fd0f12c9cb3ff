//! Being told what the layers decide.

use std::{fmt, sync::Arc, time::Duration};

use crate::{Failure, Phase, StreamEnd, Target};

/// Is told at each decision point of each layer that it was given to.
///
/// Called on the path of a request and outside all locks: be quick, and never block. The `towline` facade has one for `tracing` and one for `metrics`.
pub trait Observe: Send + Sync + 'static {
    /// Something was decided.
    fn observe(&self, event: &Event<'_>);
}

/// A decision. `target` is `None` where no fallback has chosen one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt succeeded, as far as its answer was looked at before it was handed on (told by retry).
    AttemptSucceeded {
        /// Where it went.
        target: Option<&'a Target>,
        /// Which attempt it was, from 1.
        attempt: u32,
    },
    /// An attempt failed (told by retry).
    AttemptFailed {
        /// Where it went.
        target: Option<&'a Target>,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// Why it failed.
        failure: &'a Failure,
    },
    /// The next attempt will be made after a wait.
    RetryScheduled {
        /// Where it goes.
        target: Option<&'a Target>,
        /// Which attempt it will be, from 2.
        attempt: u32,
        /// How long we wait before it.
        wait: Duration,
        /// Why the last one failed.
        failure: &'a Failure,
    },
    /// No further attempt is made, though the last one failed.
    RetryStopped {
        /// Where the attempts went.
        target: Option<&'a Target>,
        /// How many there were.
        attempts: u32,
        /// Why there is no further one.
        reason: StopReason,
        /// Why the last one failed.
        failure: &'a Failure,
    },
    /// A circuit opened.
    CircuitOpened {
        /// Whose.
        target: Option<&'a Target>,
        /// When it will let a probe through.
        retry_after: Duration,
    },
    /// An open circuit begins to let probes through.
    CircuitHalfOpened {
        /// Whose.
        target: Option<&'a Target>,
    },
    /// A circuit closed.
    CircuitClosed {
        /// Whose.
        target: Option<&'a Target>,
    },
    /// An open circuit refused a request.
    CircuitRejected {
        /// Whose.
        target: Option<&'a Target>,
        /// When it will let a probe through.
        retry_after: Duration,
    },
    /// A request waits in line for its turn.
    LimitWaiting {
        /// Whose limit.
        target: Option<&'a Target>,
        /// How long it will have to wait.
        wait: Duration,
    },
    /// A rate limiter refused a request.
    LimitRejected {
        /// Whose limit.
        target: Option<&'a Target>,
        /// How long it would have had to wait.
        retry_after: Duration,
    },
    /// A provider said that its limit is reached: nobody is sent there for a while, or for longer than was told before.
    LimitClosed {
        /// Whose limit.
        target: Option<&'a Target>,
        /// How long, from now on.
        pause: Duration,
    },
    /// The first request since has been let pass.
    LimitOpened {
        /// Whose limit.
        target: Option<&'a Target>,
    },
    /// A time limit passed.
    TimedOut {
        /// Who was silent.
        target: Option<&'a Target>,
        /// Which limit.
        phase: Phase,
        /// How long it was.
        limit: Duration,
    },
    /// A call moves on to its next target.
    FallbackMoved {
        /// The target that failed.
        from: &'a Target,
        /// The next one.
        to: &'a Target,
        /// Why the former failed.
        failure: &'a Failure,
    },
    /// A streamed answer has ended, or its reader has left (told by classify).
    StreamEnded {
        /// Where it came from.
        target: Option<&'a Target>,
        /// How.
        end: &'a StreamEnd,
    },
    /// No target could answer.
    FallbackExhausted {
        /// How many were tried.
        tried: usize,
        /// The failure that the caller gets.
        failure: &'a Failure,
    },
}

/// Why no further attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The failure is not worth a retry.
    NotRetryable,
    /// All attempts are used up.
    Attempts,
    /// The body can be sent only once.
    NotReplayable,
    /// The wait that the provider asks for is longer than we are ready to wait.
    WaitTooLong,
    /// The wait would end after the call's deadline.
    Deadline,
    /// The retry budget is used up.
    Budget,
}

/// Whoever listens, or nobody. Cheap to clone; nobody costs nothing.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Observe>>);

impl Observer {
    /// Tells `listener`.
    #[must_use]
    pub fn new(listener: Arc<dyn Observe>) -> Self {
        Self(Some(listener))
    }

    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether anybody listens; where telling would cost something, ask first.
    #[must_use]
    pub const fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Tells whoever listens.
    pub fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = &self.0 {
            listener.observe(event);
        }
    }
}

impl<O: Observe> From<Arc<O>> for Observer {
    fn from(listener: Arc<O>) -> Self {
        Self(Some(listener))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(listening)" } else { "Observer(none)" })
    }
}
