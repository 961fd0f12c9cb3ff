//! What a layer has injected so far, and what it shall inject from now on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Request;
use parking_lot::RwLock;
use towline_core::Target;

use super::{
    injection::{Injection, Then},
    rule::{Given, Plan, Rule},
};

/// A view of a [`ChaosLayer`](super::ChaosLayer), and its switch. Clones are the same.
#[derive(Clone, Debug)]
pub struct ChaosHandle(pub(super) Arc<State>);

/// What was injected. Each is counted when it is decided, as the request comes: a cut also if nobody reads the body that far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosCounts {
    /// The requests that came while there was anything to inject, met by an injection or not.
    pub requests: u64,
    /// Those that had to wait.
    pub delayed: u64,
    /// Those that got a response of ours.
    pub answered: u64,
    /// Those that got an error of ours.
    pub failed: u64,
    /// Those whose body breaks off or ends early.
    pub cut: u64,
    /// Those whose body falls silent.
    pub stalled: u64,
}

/// What all services of a layer share.
#[derive(Debug)]
pub(super) struct State {
    seed: u64,
    /// Whether there is any rule: all that a request looks at when there is none.
    active: AtomicBool,
    rules: RwLock<Vec<Rule>>,
    requests: AtomicU64,
    delayed: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    cut: AtomicU64,
    stalled: AtomicU64,
}

impl ChaosHandle {
    /// Does this as well, from the next request on.
    pub fn inject(&self, injection: Injection) {
        self.0.add(injection);
    }

    /// Injects nothing more, until told to. The counts stay; bodies that are under way keep their fate.
    pub fn clear(&self) {
        let mut rules = self.0.rules.write();
        rules.clear();
        self.0.active.store(false, Ordering::Release);
    }

    /// What was injected so far.
    #[must_use]
    pub fn counts(&self) -> ChaosCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let State { requests, delayed, answered, failed, cut, stalled, .. } = &*self.0;
        ChaosCounts {
            requests: get(requests),
            delayed: get(delayed),
            answered: get(answered),
            failed: get(failed),
            cut: get(cut),
            stalled: get(stalled),
        }
    }
}

impl ChaosCounts {
    /// All injections together. A request that waits and is then refused counts twice.
    #[must_use]
    pub const fn injected(&self) -> u64 {
        let answers = self.answered.saturating_add(self.failed);
        self.delayed.saturating_add(answers).saturating_add(self.cut).saturating_add(self.stalled)
    }
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        let zero = AtomicU64::default;
        Self {
            seed,
            active: AtomicBool::new(false),
            rules: RwLock::new(Vec::new()),
            requests: zero(),
            delayed: zero(),
            answered: zero(),
            failed: zero(),
            cut: zero(),
            stalled: zero(),
        }
    }

    pub(super) fn add(&self, injection: Injection) {
        let mut rules = self.rules.write();
        // Each rule has a chance of its own, so that one more does not change what the others do.
        let seed = self.seed.wrapping_add((rules.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rules.push(Rule::new(injection, seed));
        self.active.store(true, Ordering::Release);
    }

    /// What becomes of this request, counted; `None` if nothing does.
    pub(super) fn plan<B>(&self, request: &Request<B>) -> Option<Plan> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.requests);
        let target = Target::of(request.extensions()).map(Target::name);
        let plan = Plan::make(&self.rules.read(), target, request.uri());
        if !plan.wait.is_zero() {
            count(&self.delayed);
        }
        match &plan.given {
            Some(Given::Response(_)) => count(&self.answered),
            Some(Given::Failure(_)) => count(&self.failed),
            None => 0,
        };
        match plan.fault.map(|fault| fault.then) {
            Some(Then::Break | Then::End) => count(&self.cut),
            Some(Then::Stall(_)) => count(&self.stalled),
            None => 0,
        };
        Some(plan)
    }
}
