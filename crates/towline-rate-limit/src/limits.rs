//! All limits of one layer: one for requests without a target, one for each target.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::Extensions;
use tokio::time::Instant;
use towline_core::{Call, Error, Event, Failure, FailureKind, Keyed, Observer, Target};

use crate::{
    bucket::Rate,
    limiter::{Bounds, Entry, Limiter, Place, Reservation, TooLate},
};

/// What a layer is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    per_minute: NonZeroU32,
    pub(crate) thousandths: u32,
    pub(crate) burst: Option<NonZeroU32>,
    pub(crate) bounds: Bounds,
    pub(crate) observer: Observer,
}

/// A layer's settings and the limits that it keeps.
#[derive(Debug)]
pub(crate) struct Limits {
    settings: Settings,
    rate: Rate,
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

impl Settings {
    pub(crate) fn requests_per_minute(n: NonZeroU32) -> Self {
        let bounds = Bounds { max_wait: Duration::from_secs(30), queue: 1000 };
        Self { per_minute: n, thousandths: 950, burst: None, bounds, observer: Observer::none() }
    }
}

impl Limits {
    pub(crate) fn new(settings: Settings) -> Self {
        let rate = Rate::new(settings.per_minute.get(), settings.thousandths, settings.burst.map(NonZeroU32::get));
        let now = Instant::now();
        let untargeted = Arc::new(Limiter::new(rate, now));
        // Who came last may have been charged as late as its longest wait allows, and the bucket fills from then on.
        let full_again = rate.fills_in().saturating_add(settings.bounds.max_wait);
        Self { settings, rate, untargeted, targeted: Keyed::new(IDLE.max(full_again), now) }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Admits a request with these extensions, now or in its turn.
    pub(crate) fn admit(&self, extensions: &Extensions) -> Result<Admission, Error> {
        let now = Instant::now();
        let target = Target::of(extensions);
        let limiter = match target {
            Some(target) => self.targeted.get_or_insert_with(target.key(), now, || Limiter::new(self.rate, now)),
            None => Arc::clone(&self.untargeted),
        };
        match limiter.enter(now, self.settings.bounds, || Call::of(extensions)?.deadline()) {
            Entry::Admitted(reservation) => Ok(Admission::Now(reservation)),
            Entry::Waiting(place, wait) => {
                self.settings.observer.tell(&Event::LimitWaiting { target, wait });
                Ok(Admission::Later(Box::pin(self.turn(place, extensions))))
            }
            Entry::Refused(wait) => Err(refused(&self.settings.observer, target, Call::of(extensions), wait)),
        }
    }

    /// The limiter of a target, if it is known; that of requests without a target for `None`.
    pub(crate) fn limiter(&self, target: Option<&str>) -> Option<Arc<Limiter>> {
        target.map_or_else(|| Some(Arc::clone(&self.untargeted)), |name| self.targeted.get(name))
    }

    /// What a limit has left that nobody has used yet.
    pub(crate) const fn full(&self) -> u64 {
        self.rate.tokens()
    }

    fn turn(&self, place: Place, extensions: &Extensions) -> impl Future<Output = Result<Reservation, Error>> + Send + use<> {
        let (observer, target, call) =
            (self.settings.observer.clone(), Target::of(extensions).cloned(), Call::of(extensions).cloned());
        async move {
            place.turn().await.map_err(|late| match late {
                TooLate::Would(wait) => refused(&observer, target.as_ref(), call.as_ref(), wait),
                TooLate::Passed => error(Failure::new(FailureKind::DeadlineExceeded), call.as_ref()),
            })
        }
    }
}

fn refused(observer: &Observer, target: Option<&Target>, call: Option<&Call>, wait: Duration) -> Error {
    observer.tell(&Event::LimitRejected { target, retry_after: wait });
    error(Failure::new(FailureKind::LimitedLocally).retry_after(wait), call)
}

fn error(failure: Failure, call: Option<&Call>) -> Error {
    let error = Error::new(failure);
    match call {
        Some(call) => error.with_call(call.clone()),
        None => error,
    }
}
