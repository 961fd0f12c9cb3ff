//! What a probe has seen, and the places that it gives away.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::counter::Counter;

/// A breach of tower's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// `call` on a service that was not polled ready: a fresh clone, or one that said `Pending`.
    CalledWithoutReadiness,
    /// `call` twice on one readiness.
    CalledTwice,
    /// `poll_ready` after `poll_ready` had failed.
    PolledAfterError,
    /// `call` after `poll_ready` had failed.
    CalledAfterError,
    /// A response future was polled after it had finished.
    FuturePolledAfterEnd,
}

/// What all clones of a [`Probe`](super::Probe) have seen, and the switch for their readiness.
///
/// Clones show the same report.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    shared: Arc<Shared>,
}

/// The error of a probe that was told to [fail its readiness](ProbeReport::fail_readiness).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady;

#[derive(Debug)]
pub(super) struct Shared {
    places: Mutex<Places>,
    violations: Mutex<Vec<Violation>>,
    pub(super) ready_polls: Counter,
    pub(super) calls: Counter,
    pub(super) completed: Counter,
    pub(super) dropped: Counter,
    pub(super) polls: Counter,
    unused: Counter,
    live: AtomicUsize,
    peak: AtomicUsize,
}

#[derive(Debug)]
struct Places {
    /// How many are taken, by reservations and calls under way.
    taken: usize,
    /// How many of those are reservations that were not called yet.
    reserved: usize,
    limit: Option<usize>,
    ready: bool,
    failing: usize,
    waiting: Vec<Waker>,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Arc<Shared>,
    /// Whether `poll_ready` has said so.
    pub(super) granted: bool,
    /// Whether it was called.
    pub(super) used: bool,
}

impl ProbeReport {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The breaches so far, in order.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.violations.lock().clone()
    }

    /// Asserts that there was no breach.
    ///
    /// # Panics
    ///
    /// If there was one.
    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion for tests")]
    pub fn assert_clean(&self) {
        let violations = self.violations();
        if !violations.is_empty() {
            panic!("the probed service was used against tower's contract: {violations:?}");
        }
    }

    /// Makes the probe ready or pending. Who waits is woken; a readiness that was given stays good.
    pub fn set_ready(&self, ready: bool) {
        let mut places = self.shared.places.lock();
        places.ready = ready;
        let waiting = std::mem::take(&mut places.waiting);
        drop(places);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Makes the next `n` clones that ask for readiness fail with [`NotReady`].
    pub fn fail_readiness(&self, n: usize) {
        let mut places = self.shared.places.lock();
        places.failing = n;
        let waiting = std::mem::take(&mut places.waiting);
        drop(places);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How often `poll_ready` was called.
    #[must_use]
    pub fn ready_polls(&self) -> usize {
        self.shared.ready_polls.get()
    }

    /// How often `call` was called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.calls.get()
    }

    /// Waits until `call` was called `n` times in all.
    pub async fn called(&self, n: usize) {
        self.shared.calls.reached(n).await;
    }

    /// How often a readiness was given and its clone dropped without a call. This is allowed.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.shared.unused.get()
    }

    /// How many reservations are held at this moment and not called yet: more than none while a layer waits for something else
    /// is a capacity withheld from others.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.shared.places.lock().reserved
    }

    /// How many response futures live at this moment.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.live.load(Ordering::Acquire)
    }

    /// How many response futures lived at once at most.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::Acquire)
    }

    /// How many response futures have finished.
    #[must_use]
    pub fn completed(&self) -> usize {
        self.shared.completed.get()
    }

    /// How many response futures were dropped unfinished.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.shared.dropped.get()
    }

    /// Waits until `n` response futures were dropped unfinished in all.
    pub async fn abandoned(&self, n: usize) {
        self.shared.dropped.reached(n).await;
    }

    /// How often response futures were polled, all together. A layer that polls in a loop shows here.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.shared.polls.get()
    }
}

impl Shared {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            places: Mutex::new(Places { taken: 0, reserved: 0, limit, ready: true, failing: 0, waiting: Vec::new() }),
            violations: Mutex::new(Vec::new()),
            ready_polls: Counter::new(),
            calls: Counter::new(),
            completed: Counter::new(),
            dropped: Counter::new(),
            polls: Counter::new(),
            unused: Counter::new(),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    pub(super) fn violation(&self, violation: Violation) {
        self.violations.lock().push(violation);
    }

    pub(super) fn born(&self) {
        let live = self.live.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        self.peak.fetch_max(live, Ordering::AcqRel);
    }

    pub(super) fn gone(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Reservation {
    pub(super) fn take(shared: &Arc<Shared>, cx: &Context<'_>) -> Poll<Result<Self, NotReady>> {
        let mut places = shared.places.lock();
        if places.failing > 0 {
            places.failing = places.failing.saturating_sub(1);
            return Poll::Ready(Err(NotReady));
        }
        if !places.ready || places.limit.is_some_and(|limit| places.taken >= limit) {
            if !places.waiting.iter().any(|known| known.will_wake(cx.waker())) {
                places.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        places.taken = places.taken.saturating_add(1);
        places.reserved = places.reserved.saturating_add(1);
        Poll::Ready(Ok(Self { shared: Arc::clone(shared), granted: false, used: false }))
    }

    /// From a reservation to a call under way.
    pub(super) fn spend(&mut self) {
        self.used = true;
        let mut places = self.shared.places.lock();
        places.reserved = places.reserved.saturating_sub(1);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let waiting = {
            let mut places = self.shared.places.lock();
            places.taken = places.taken.saturating_sub(1);
            if !self.used {
                places.reserved = places.reserved.saturating_sub(1);
            }
            std::mem::take(&mut places.waiting)
        };
        if self.granted && !self.used {
            self.shared.unused.add();
        }
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe was told to fail its readiness")
    }
}

impl std::error::Error for NotReady {}
