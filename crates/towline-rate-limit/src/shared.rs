//! What the services of one layer share: limits for requests without a target, and for each target or key.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use http::{Extensions, request::Parts};
use parking_lot::RwLock;
use tokio::time::Instant;
use towline_core::{Call, Error, Event, Failure, FailureKind, Keyed, Observer, Target};

use crate::{
    Limits, Profile,
    books::Terms,
    cost::Estimator,
    limiter::{Bounds, Entry, Limiter, Place, TooLate},
    reservation::Reservation,
};

/// What a layer is told.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) terms: Terms,
    /// What single targets or keys have of their own, by name.
    pub(crate) own: BTreeMap<Arc<str>, Own>,
    pub(crate) bounds: Bounds,
    pub(crate) estimator: Estimator,
    pub(crate) key: Option<KeyOf>,
    pub(crate) observer: Observer,
}

/// What one target or key was told in the place of what holds for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    pub(crate) limits: Option<Limits>,
    pub(crate) burst: Option<u64>,
    /// In thousandths.
    pub(crate) share: Option<u32>,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) profile: Option<Profile>,
}

pub(crate) type KeyOf = Arc<dyn Fn(&Parts) -> Option<Arc<str>> + Send + Sync>;

/// A layer's settings and the limits that it keeps.
#[derive(Debug)]
pub(crate) struct Shared {
    settings: Settings,
    /// Limits that were changed since.
    changed: RwLock<HashMap<Arc<str>, Limits>>,
    untargeted: Arc<Limiter>,
    targeted: Keyed<Limiter>,
}

/// Waits for one's turn.
pub(crate) type Turn = std::pin::Pin<Box<dyn Future<Output = Result<Reservation, Error>> + Send>>;

/// A request that may go at once, or in its turn.
pub(crate) enum Admission {
    Now(Reservation),
    Later(Turn),
}

/// A limit that nobody has used for so long is as good as new, and forgotten; longer where its bucket takes longer to
/// fill.
const IDLE: Duration = Duration::from_secs(600);

/// How long a call waits in line at least, though another target waits for it; as long as a retry waits there for a provider that
/// limits the rate.
const PATIENCE: Duration = Duration::from_secs(2);

impl Settings {
    pub(crate) fn new(terms: Terms) -> Self {
        let bounds = Bounds { max_wait: Duration::from_secs(30), queue: 1000 };
        let (own, estimator) = (BTreeMap::new(), Estimator::default());
        Self { terms, own, bounds, estimator, key: None, observer: Observer::none() }
    }

    /// The terms of a target with these limits.
    fn terms_of(&self, key: &str, limits: Limits) -> Terms {
        let own = self.own(key);
        Terms {
            limits,
            profile: own.profile.unwrap_or(self.terms.profile),
            thousandths: own.share.unwrap_or(self.terms.thousandths),
            burst: own.burst.or(self.terms.burst),
            max_wait: own.max_wait,
            ..self.terms
        }
    }

    /// What a target or key has of its own, which is nothing for most.
    pub(crate) fn own(&self, key: &str) -> Own {
        self.own.get(key).copied().unwrap_or_default()
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let untargeted = Arc::new(Limiter::new(settings.terms, settings.observer.clone(), now));
        // Who came last may have been charged as late as its longest wait allows, and the buckets fill from then on.
        let limited = settings.own.iter().filter_map(|(key, own)| Some(settings.terms_of(key, own.limits?)));
        let terms = limited.chain([settings.terms]);
        let longest_wait = settings.own.values().filter_map(|own| own.max_wait).fold(settings.bounds.max_wait, Duration::max);
        let full_again = terms.map(|terms| terms.fill_in()).max().unwrap_or_default().saturating_add(longest_wait);
        let targeted = Keyed::new(IDLE.max(full_again), now);
        Self { settings, changed: RwLock::default(), untargeted, targeted }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Admits a request with these extensions, now or in its turn. `key` is what the user's own key says, if there is one.
    pub(crate) fn admit(&self, extensions: &Extensions, key: Option<Option<&Arc<str>>>) -> Result<Admission, Error> {
        let now = Instant::now();
        let target = Target::of(extensions);
        let limiter = self.limiter_of(key.unwrap_or_else(|| target.map(Target::key)), now);
        let told = self.settings.estimator.ask(extensions);
        match limiter.enter(now, told, self.settings.bounds, || Call::of(extensions)?.deadline()) {
            Entry::Admitted(reservation) => Ok(Admission::Now(reservation.to(target))),
            Entry::Waiting(place, wait) => {
                let end = Call::of(extensions).and_then(|call| patience(call, now));
                if end.is_some_and(|end| wait > end.saturating_duration_since(now)) {
                    drop(place);
                    return Err(refused(&self.settings.observer, target, Call::of(extensions), wait));
                }
                let place = place.until(end);
                self.settings.observer.tell(&Event::LimitWaiting { target, wait });
                Ok(Admission::Later(Box::pin(self.turn(place, extensions))))
            }
            Entry::Refused(wait) => Err(refused(&self.settings.observer, target, Call::of(extensions), wait)),
            Entry::TooLarge(why) => Err(error(Failure::new(FailureKind::LimitedLocally), Call::of(extensions)).with_source(why)),
        }
    }

    fn limiter_of(&self, key: Option<&Arc<str>>, now: Instant) -> Arc<Limiter> {
        match key {
            Some(key) => {
                let new = || Limiter::new(self.terms_of(key), self.settings.observer.clone(), now);
                self.targeted.get_or_insert_with(key, now, new)
            }
            None => Arc::clone(&self.untargeted),
        }
    }

    /// The terms of a target that is not known, or not any more.
    pub(crate) fn terms_of(&self, key: &str) -> Terms {
        let changed = self.changed.read().get(key).copied();
        let limits = changed.or_else(|| self.settings.own(key).limits);
        self.settings.terms_of(key, limits.unwrap_or(self.settings.terms.limits))
    }

    /// Changes limits from now on.
    pub(crate) fn change(&self, key: Option<&str>, limits: Limits, now: Instant) {
        if let Some(key) = key {
            self.changed.write().insert(key.into(), limits);
        }
        let terms = key.map_or(Terms { limits, ..self.settings.terms }, |key| self.settings.terms_of(key, limits));
        if let Some(limiter) = self.limiter(key) {
            limiter.correct(|books| books.change(now, terms));
        }
    }

    /// The limiter of a target, if it is known; that of requests without a target for `None`.
    pub(crate) fn limiter(&self, target: Option<&str>) -> Option<Arc<Limiter>> {
        target.map_or_else(|| Some(Arc::clone(&self.untargeted)), |name| self.targeted.get(name))
    }

    fn turn(&self, place: Place, extensions: &Extensions) -> impl Future<Output = Result<Reservation, Error>> + Send + use<> {
        let (observer, target, call) =
            (self.settings.observer.clone(), Target::of(extensions).cloned(), Call::of(extensions).cloned());
        async move {
            match place.turn().await {
                Ok(reservation) => Ok(reservation.to(target.as_ref())),
                Err(TooLate::Would(wait)) => Err(refused(&observer, target.as_ref(), call.as_ref(), wait)),
                Err(TooLate::Passed) => Err(error(Failure::new(FailureKind::DeadlineExceeded), call.as_ref())),
            }
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("terms", &self.terms).field("own", &self.own).finish_non_exhaustive()
    }
}

/// Until when a call stands in line, where it would be served sooner elsewhere.
fn patience(call: &Call, now: Instant) -> Option<Instant> {
    let soon = now.checked_add(PATIENCE)?;
    if call.has_alternative() { Some(soon) } else { call.others_recover().map(|at| at.max(soon)) }
}

fn refused(observer: &Observer, target: Option<&Target>, call: Option<&Call>, wait: Duration) -> Error {
    observer.tell(&Event::LimitRejected { target, retry_after: wait });
    let failure = Failure::new(FailureKind::LimitedLocally);
    // Where only others are in the way, nobody knows when.
    error(if wait.is_zero() { failure } else { failure.retry_after(wait) }, call)
}

fn error(failure: Failure, call: Option<&Call>) -> Error {
    let error = Error::new(failure);
    match call {
        Some(call) => error.with_call(call.clone()),
        None => error,
    }
}
