//! One circuit, with whose it is and who is told of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use towline_core::{Event, Observer, Target};

use crate::{
    CircuitState, CircuitStatus, Transition, Verdict,
    circuit::{Change, Circuit, Ticket},
    policy::Policy,
    rules::{ALL, RAMP_BEGINS},
    transitions::Feed,
};

/// What all circuits of a layer have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) observer: Observer,
    pub(crate) feed: Feed,
    /// Whether circuits only watch.
    pub(crate) metrics_only: AtomicBool,
}

/// What all circuits of a layer have in common that go by the same policy: a pointer each, for there may be a million of them.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) policy: Policy,
    pub(crate) common: Arc<Common>,
}

#[derive(Debug)]
pub(crate) struct Line {
    circuit: Circuit,
    key: Option<Arc<str>>,
    target: Option<Target>,
    terms: Arc<Terms>,
}

/// Where a request belongs until its outcome is known: a circuit, and the lane in which its success is counted.
///
/// Behind an `Arc` of its own, so that threads which share a circuit do not share its reference count.
#[allow(clippy::large_enum_variant, reason = "its size keeps the reference counts of two lanes on different cache lines")]
#[derive(Debug)]
pub(crate) enum Lane {
    /// The only lane of a circuit, for there may be a million of those that have a key.
    Own(Line),
    /// One of several.
    Shared(Arc<Line>, usize),
}

impl Line {
    pub(crate) fn new(terms: &Arc<Terms>, lanes: usize, key: Option<Arc<str>>, target: Option<Target>, now: Instant) -> Self {
        Self { circuit: Circuit::new(&terms.policy.rules, lanes, now), key, target, terms: Arc::clone(terms) }
    }

    /// Lets a request in without a clock, a lock or a word to anybody, if the circuit is closed.
    #[inline]
    pub(crate) fn pass(&self) -> Option<Ticket> {
        self.circuit.pass()
    }

    /// Lets a request in, or refuses it. While circuits only watch, nothing is refused: it goes without a ticket.
    pub(crate) fn admit(&self, now: Instant) -> Result<Option<Ticket>, Duration> {
        match self.circuit.admit(&self.terms.policy.rules, now) {
            Ok((ticket, change)) => {
                self.tell(change);
                Ok(Some(ticket))
            }
            Err(_) if self.terms.common.metrics_only.load(Ordering::Relaxed) => Ok(None),
            Err(retry_after) => {
                self.terms.common.observer.tell(&Event::CircuitRejected { target: self.target.as_ref(), retry_after });
                Err(retry_after)
            }
        }
    }

    pub(crate) fn force(&self, open: bool, now: Instant) {
        self.tell(self.circuit.force(&self.terms.policy.rules, open, now));
    }

    pub(crate) fn reset(&self, now: Instant) {
        self.tell(self.circuit.reset(&self.terms.policy.rules, now));
    }

    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        self.circuit.state(&self.terms.policy.rules, now)
    }

    pub(crate) fn status(&self, now: Instant) -> CircuitStatus {
        self.circuit.status(&self.terms.policy.rules, now)
    }

    /// Outside the circuit's lock.
    #[inline]
    fn tell(&self, change: Option<Change>) {
        if let Some(change) = change {
            self.tell_of(change);
        }
    }

    #[cold]
    fn tell_of(&self, change: Change) {
        let state = match change {
            Change::Opened { retry_after } => CircuitState::Open { retry_after },
            Change::HalfOpened => CircuitState::HalfOpen,
            Change::Closed | Change::Ramped => CircuitState::Closed,
            Change::Ramping => CircuitState::Ramping { percent: (RAMP_BEGINS / (ALL / 100)) as u8 },
            Change::ForcedOpen { .. } => CircuitState::ForcedOpen,
            Change::ForcedClosed => CircuitState::ForcedClosed,
        };
        self.terms.common.feed.tell(|| Transition { key: self.key.clone(), state });
        let target = self.target.as_ref();
        let event = match change {
            Change::Opened { retry_after } | Change::ForcedOpen { retry_after } => Event::CircuitOpened { target, retry_after },
            Change::HalfOpened => Event::CircuitHalfOpened { target },
            Change::Closed | Change::Ramping | Change::ForcedClosed => Event::CircuitClosed { target },
            Change::Ramped => return,
        };
        self.terms.common.observer.tell(&event);
    }
}

impl Lane {
    #[inline]
    pub(crate) fn line(&self) -> &Line {
        match self {
            Self::Own(line) => line,
            Self::Shared(line, _) => line,
        }
    }

    #[inline]
    pub(crate) fn policy(&self) -> &Policy {
        &self.line().terms.policy
    }

    /// Nanoseconds since the circuit began.
    pub(crate) fn age(&self, now: Instant) -> u64 {
        self.line().circuit.age(now)
    }

    /// A success; of a probe it is an outcome like the others.
    #[inline]
    pub(crate) fn succeed(&self, ticket: Ticket) {
        let line = self.line();
        if !line.circuit.succeed(&line.terms.policy.rules, (ticket, self.at()), Instant::now) {
            self.settle(ticket, Verdict::Success, None);
        }
    }

    /// An outcome.
    #[cold]
    pub(crate) fn settle(&self, ticket: Ticket, verdict: Verdict, hint: Option<Duration>) {
        let line = self.line();
        let change = line.circuit.settle(&line.terms.policy.rules, (ticket, self.at()), verdict, hint, Instant::now);
        line.tell(change);
    }

    /// First content of a request that is no probe.
    pub(crate) fn content(&self, ticket: Ticket, slow: bool, now: Instant) {
        let line = self.line();
        let change = line.circuit.content(&line.terms.policy.rules, (ticket, self.at()), slow, now);
        line.tell(change);
    }

    #[inline]
    fn at(&self) -> usize {
        match self {
            Self::Own(_) => 0,
            Self::Shared(_, at) => *at,
        }
    }
}
