//! All circuits of one layer.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use parking_lot::Mutex;
use tokio::time::Instant;
use towline_core::{Call, Error, Failure, FailureKind, Keyed, Target};

use crate::{
    line::{Common, Lane, Line, Terms},
    permit::Permit,
    policy::{Policy, Settings},
};

/// The shortest time after which the circuit of a key that nobody asks for is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// How many services can use the circuit without a key, each on a thread of its own, and not meet on a cache line.
const LANES: usize = 8;

/// What a layer, its services and its handles share.
#[derive(Debug)]
pub(crate) struct Breaker {
    pub(crate) settings: Settings,
    pub(crate) common: Arc<Common>,
    terms: Arc<Terms>,
    /// Those of the keys that have their own.
    own: HashMap<Arc<str>, Arc<Terms>>,
    /// The circuit of requests without a key, once for each lane.
    shared: [Arc<Lane>; LANES],
    keyed: Keyed<Lane>,
    /// What was forced has to be remembered until it is reset, however long nobody asks for it.
    forced: Mutex<HashMap<Arc<str>, Arc<Lane>>>,
    /// The lane of the next service.
    next: AtomicUsize,
}

impl Breaker {
    pub(crate) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        // Twice as long as any circuit stays open, so that none is forgotten before it has let a probe through.
        let idle = IDLE.max(settings.longest_open() * 2);
        let common = Arc::new(Common { observer: settings.observer.clone(), ..Common::default() });
        let terms = |policy: &Policy| Arc::new(Terms { policy: policy.clone(), common: Arc::clone(&common) });
        let own = settings.own.iter().map(|(key, policy)| (Arc::clone(key), terms(policy))).collect();
        let terms = terms(&settings.policy);
        let line = Arc::new(Line::new(&terms, LANES, None, None, now));
        let shared = std::array::from_fn(|at| Arc::new(Lane::Shared(Arc::clone(&line), at)));
        let (keyed, forced, next) = (Keyed::new(idle, now), Mutex::default(), AtomicUsize::new(0));
        Self { settings, common, terms, own, shared, keyed, forced, next }
    }

    /// The lane of a new service: each gets another, as long as there are some.
    pub(crate) fn next_lane(&self) -> Arc<Lane> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % LANES;
        Arc::clone(self.shared.get(at).unwrap_or(&self.shared[0]))
    }

    /// Lets a request in, or refuses it. Who has its own `key`, which may have found none, does not ask for the target.
    pub(crate) fn admit(
        &self,
        shared: &Arc<Lane>,
        extensions: &Extensions,
        key: Option<Option<Arc<str>>>,
    ) -> Result<Permit, Error> {
        let (call, target) = (Call::of(extensions), if key.is_none() { Target::of(extensions) } else { None });
        let key = key.unwrap_or_else(|| target.map(|target| Arc::clone(target.key())));
        if key.is_none()
            && call.is_none()
            && !self.settings.policy.times_requests()
            && let Some(ticket) = shared.line().pass()
        {
            return Ok(Permit::new(Arc::clone(shared), ticket));
        }
        let now = Instant::now();
        let lane = match key {
            Some(key) => self.keyed(&key, target, now),
            None => Arc::clone(shared),
        };
        match lane.line().admit(now) {
            Ok(ticket) => Ok(Permit::timed(lane, ticket, now, call)),
            Err(wait) => Err(Error::new(Failure::new(FailureKind::CircuitOpen).retry_after(wait))),
        }
    }

    /// The circuit of a key, or of no key, if it has one yet.
    pub(crate) fn with_line<T>(&self, key: Option<&str>, read: impl FnOnce(&Line) -> T) -> Option<T> {
        match key {
            None => Some(read(self.shared[0].line())),
            Some(key) => self.keyed.get(key).map(|lane| read(lane.line())),
        }
    }

    /// Opens or closes a circuit for good.
    pub(crate) fn force(&self, key: Option<&str>, open: bool) {
        let now = Instant::now();
        let Some(key) = key else { return self.shared[0].line().force(open, now) };
        let key = Arc::from(key);
        let lane = self.keyed(&key, None, now);
        lane.line().force(open, now);
        self.forced.lock().insert(key, lane);
    }

    pub(crate) fn reset(&self, key: Option<&str>) {
        self.with_line(key, |line| line.reset(Instant::now()));
        if let Some(key) = key {
            self.forced.lock().remove(key);
        }
    }

    /// The keys of all circuits that are known.
    pub(crate) fn keys(&self) -> Vec<Arc<str>> {
        self.keyed.all().into_iter().map(|(key, _)| key).collect()
    }

    fn keyed(&self, key: &Arc<str>, target: Option<&Target>, now: Instant) -> Arc<Lane> {
        let new =
            || Lane::Own(Line::new(self.own.get(key).unwrap_or(&self.terms), 1, Some(Arc::clone(key)), target.cloned(), now));
        self.keyed.get_or_insert_with(key, now, new)
    }
}
