//! All circuits of one layer.

use std::{sync::Arc, time::Duration};

use http::Extensions;
use tokio::time::Instant;
use towline_core::{Call, Error, Event, Failure, FailureKind, Keyed, Target};

use crate::{
    Verdict,
    circuit::{Change, Circuit, Ticket},
    permit::Permit,
    policy::Policy,
};

/// The shortest time after which the circuit of a target that nobody asks for is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// What a layer, its services and its handles share.
#[derive(Debug)]
pub(crate) struct Breaker {
    pub(crate) policy: Arc<Policy>,
    /// The circuit of requests that name no target.
    untargeted: Arc<Line>,
    targets: Keyed<Line>,
}

/// One circuit, with whose it is.
#[derive(Debug)]
pub(crate) struct Line {
    circuit: Circuit,
    target: Option<Target>,
    policy: Arc<Policy>,
}

impl Breaker {
    pub(crate) fn new(policy: Policy) -> Self {
        let (now, policy) = (Instant::now(), Arc::new(policy));
        // Twice as long as any circuit stays open, so that none is forgotten before it has let a probe through.
        let idle = IDLE.max(policy.rules.longest_open() * 2);
        Self { untargeted: Arc::new(Line::new(&policy, None, now)), targets: Keyed::new(idle, now), policy }
    }

    /// Lets a request in, or refuses it.
    pub(crate) fn admit(&self, extensions: &Extensions) -> Result<Permit, Error> {
        let now = Instant::now();
        let line = match Target::of(extensions) {
            None => Arc::clone(&self.untargeted),
            Some(target) => {
                self.targets.get_or_insert_with(target.key(), now, || Line::new(&self.policy, Some(target.clone()), now))
            }
        };
        let ticket = line.admit(now).map_err(|wait| Error::new(Failure::new(FailureKind::CircuitOpen).retry_after(wait)))?;
        Ok(Permit::new(line, ticket, now, Call::of(extensions).and_then(Call::deadline)))
    }

    /// The circuit of a target, if it has one yet.
    pub(crate) fn with_circuit<T>(&self, target: Option<&str>, read: impl FnOnce(&Circuit) -> T) -> Option<T> {
        match target {
            None => Some(read(&self.untargeted.circuit)),
            Some(name) => self.targets.get(name).map(|line| read(&line.circuit)),
        }
    }
}

impl Line {
    fn new(policy: &Arc<Policy>, target: Option<Target>, now: Instant) -> Self {
        Self { circuit: Circuit::new(&policy.rules, now), target, policy: Arc::clone(policy) }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn settle(&self, ticket: Ticket, verdict: Verdict, hint: Option<Duration>) {
        let change = self.circuit.settle(&self.policy.rules, ticket, verdict, hint, Instant::now);
        self.tell(change);
    }

    fn admit(&self, now: Instant) -> Result<Ticket, Duration> {
        let (ticket, change) = self.circuit.admit(&self.policy.rules, now).inspect_err(|retry_after| {
            self.policy.observer.tell(&Event::CircuitRejected { target: self.target.as_ref(), retry_after: *retry_after });
        })?;
        self.tell(change);
        Ok(ticket)
    }

    /// Outside the circuit's lock.
    fn tell(&self, change: Option<Change>) {
        let target = self.target.as_ref();
        let event = match change {
            None => return,
            Some(Change::Opened { retry_after }) => Event::CircuitOpened { target, retry_after },
            Some(Change::HalfOpened) => Event::CircuitHalfOpened { target },
            Some(Change::Closed) => Event::CircuitClosed { target },
        };
        self.policy.observer.tell(&event);
    }
}
