//! The keys of one target: which is next, and which are left alone for how long.

use std::{error, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use towline_core::{Failure, FailureKind, Origin, Scope};

/// How long keys are left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rests {
    /// One that is limited and was not told for how long.
    pub(crate) limited: Duration,
    /// One that was not accepted, the first time; then twice as long each time, up to the cap.
    pub(crate) quarantine: Duration,
    pub(crate) cap: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Ring {
    keys: Vec<Key>,
    current: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    rests_until: Option<Instant>,
    /// Why it is not to be used while it rests; one that is only limited may be, for want of a better.
    dead: Option<FailureKind>,
    /// How often it was not accepted, one time after the other.
    deaths: u32,
}

/// All keys of a target were refused by it, and none is tried again yet. Stands as the source of the error that `AuthorizeLayer` answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysExhausted {
    target: Arc<str>,
}

/// What is known of one of several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// It may be used.
    Good,
    /// Its rate is limited, and others are used first.
    Limited {
        /// For how long from now on.
        rest: Duration,
    },
    /// It was not accepted, or its quota is used up, and it is not used at all.
    Refused {
        /// For how long from now on.
        rest: Duration,
    },
}

/// What a failure says about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Nothing,
    Limited,
    Dead,
}

impl About {
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure.kind {
            _ if failure.scope != Scope::Credential => Self::Nothing,
            FailureKind::RateLimited => Self::Limited,
            FailureKind::Auth | FailureKind::Permission | FailureKind::QuotaExhausted => Self::Dead,
            _ => Self::Nothing,
        }
    }
}

impl Ring {
    /// The key to use, of `count`: the one in use if it is good, else the next good one, else the limited one that is the first to be
    /// good again.
    ///
    /// # Errors
    ///
    /// Why all are dead, and when the first will be tried again.
    pub(crate) fn pick(&mut self, count: usize, now: Instant) -> Result<usize, Failure> {
        self.keys.resize_with(count, Key::default);
        let limited = || self.order().filter(|(_, key)| key.dead.is_none()).min_by_key(|(_, key)| key.rests_until);
        let found = self.order().find(|(_, key)| key.is_good(now)).or_else(limited).map(|(at, _)| at);
        if let Some(at) = found {
            self.current = at;
            return Ok(at);
        }
        let quota = self.keys.iter().any(|key| key.dead == Some(FailureKind::QuotaExhausted));
        let failure = Failure::new(if quota { FailureKind::QuotaExhausted } else { FailureKind::Auth }).origin(Origin::Local);
        let soonest = self.keys.iter().filter_map(|key| key.rests_until).min();
        Err(match soonest {
            Some(until) => failure.retry_after(until.saturating_duration_since(now)),
            None => failure,
        })
    }

    /// A good key that is none of `tried`, to go on with at once.
    pub(crate) fn rotate(&mut self, tried: &[usize], now: Instant) -> Option<usize> {
        let at = self.order().find(|(at, key)| key.is_good(now) && !tried.contains(at)).map(|(at, _)| at)?;
        self.current = at;
        Some(at)
    }

    /// The keys, from the one in use on.
    fn order(&self) -> impl Iterator<Item = (usize, &Key)> {
        let keys = || self.keys.iter().enumerate();
        keys().skip(self.current).chain(keys().take(self.current))
    }

    pub(crate) fn failed(&mut self, at: usize, failure: &Failure, rests: &Rests, now: Instant) {
        let Some(key) = self.keys.get_mut(at) else { return };
        let told = failure.hint.retry_after;
        let (dead, rest) = match About::of(failure) {
            About::Nothing => return,
            About::Limited => (None, told.unwrap_or(rests.limited)),
            About::Dead => {
                let grown = rests.quarantine.saturating_mul(2_u32.saturating_pow(key.deaths)).min(rests.cap);
                key.deaths = key.deaths.saturating_add(1);
                (Some(failure.kind), told.unwrap_or(grown).max(grown))
            }
        };
        // A later word shortens no rest and revives no key. A wait beyond all time is cut.
        let was_dead = key.dead.filter(|_| !key.is_good(now));
        key.rests_until = key.rests_until.max(now.checked_add(rest.min(LONGEST)));
        key.dead = dead.or(was_dead);
    }

    pub(crate) fn states(&self, now: Instant) -> Vec<KeyState> {
        let state = |key: &Key| match (key.rests_until.map(|until| until.saturating_duration_since(now)), key.dead) {
            (Some(rest), Some(_)) if !rest.is_zero() => KeyState::Refused { rest },
            (Some(rest), None) if !rest.is_zero() => KeyState::Limited { rest },
            _ => KeyState::Good,
        };
        self.keys.iter().map(state).collect()
    }

    /// One that rests may still answer what was sent before; that ends no rest.
    pub(crate) fn succeeded(&mut self, at: usize, now: Instant) {
        if let Some(key) = self.keys.get_mut(at).filter(|key| key.is_good(now)) {
            *key = Key::default();
        }
    }
}

/// The longest rest that is believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Key {
    fn is_good(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now)
    }
}

impl KeysExhausted {
    pub(crate) fn new(target: &Arc<str>) -> Self {
        Self { target: Arc::clone(target) }
    }

    /// The target's name.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for KeysExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no key of {} is accepted at present", self.target)
    }
}

impl error::Error for KeysExhausted {}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTS: Rests =
        Rests { limited: Duration::from_secs(5), quarantine: Duration::from_secs(60), cap: Duration::from_secs(3600) };

    fn now() -> Instant {
        // Any instant does: only differences count.
        Instant::now()
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_transient_failure_keeps_the_key_and_a_limit_takes_the_next() {
        let (mut ring, now) = (Ring::default(), now());
        assert_eq!(ring.pick(3, now), Ok(0));
        ring.failed(0, &Failure::new(FailureKind::Overloaded), &RESTS, now);
        assert_eq!(ring.pick(3, now), Ok(0));
        ring.failed(0, &Failure::new(FailureKind::RateLimited).retry_after(secs(9)), &RESTS, now);
        assert_eq!(ring.pick(3, now), Ok(1));
        assert_eq!(ring.pick(3, now + secs(10)), Ok(1), "which stays in use");
        ring.failed(1, &Failure::new(FailureKind::RateLimited), &RESTS, now);
        ring.failed(2, &Failure::new(FailureKind::RateLimited).retry_after(secs(4)), &RESTS, now);
        assert_eq!(ring.pick(3, now + secs(1)), Ok(2), "all are limited: the first to be good again");
        assert_eq!(ring.rotate(&[], now + secs(1)), None, "but nobody goes on to a limited one at once");
        assert_eq!(ring.rotate(&[0, 2], now + secs(9)), Some(1));
    }

    #[test]
    fn a_key_that_is_not_accepted_rests_twice_as_long_each_time_until_it_is() {
        let (mut ring, mut now, auth) = (Ring::default(), now(), Failure::new(FailureKind::Auth));
        for wait in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(ring.pick(1, now), Ok(0));
            ring.failed(0, &auth, &RESTS, now);
            let failure = ring.pick(1, now).unwrap_err();
            assert_eq!((failure.kind, failure.hint.retry_after), (FailureKind::Auth, Some(secs(wait))));
            now += secs(wait);
        }
        ring.succeeded(0, now);
        ring.failed(0, &auth, &RESTS, now);
        ring.succeeded(0, now);
        assert_eq!(ring.pick(1, now).unwrap_err().hint.retry_after, Some(secs(60)));
    }

    #[test]
    fn a_spent_quota_is_told_as_one_and_believed_for_as_long_as_the_provider_says() {
        let (mut ring, now) = (Ring::default(), now());
        ring.pick(2, now).unwrap();
        ring.failed(0, &Failure::new(FailureKind::QuotaExhausted).retry_after(secs(7200)), &RESTS, now);
        ring.failed(1, &Failure::new(FailureKind::Auth).retry_after(Duration::MAX), &RESTS, now);
        let failure = ring.pick(2, now).unwrap_err();
        assert_eq!((failure.kind, failure.hint.retry_after), (FailureKind::QuotaExhausted, Some(secs(7200))));
    }

    #[test]
    fn a_later_word_shortens_no_rest() {
        let (mut ring, now) = (Ring::default(), now());
        ring.pick(1, now).unwrap();
        ring.failed(0, &Failure::new(FailureKind::Auth), &RESTS, now);
        ring.failed(0, &Failure::new(FailureKind::RateLimited).retry_after(secs(1)), &RESTS, now);
        assert_eq!(ring.pick(1, now + secs(2)).unwrap_err().hint.retry_after, Some(secs(58)));
    }

    #[test]
    fn the_state_of_each_key_can_be_told() {
        let (mut ring, now) = (Ring::default(), now());
        ring.pick(3, now).unwrap();
        ring.failed(0, &Failure::new(FailureKind::RateLimited).retry_after(secs(9)), &RESTS, now);
        ring.failed(1, &Failure::new(FailureKind::Auth), &RESTS, now);
        let told = |after| ring.states(now + secs(after));
        assert_eq!(told(1), [KeyState::Limited { rest: secs(8) }, KeyState::Refused { rest: secs(59) }, KeyState::Good]);
        assert_eq!(told(60), [KeyState::Good; 3]);
    }

    #[test]
    fn only_what_speaks_of_the_credential_concerns_a_key() {
        assert_eq!(About::of(&Failure::new(FailureKind::RateLimited).scope(Scope::Model)), About::Nothing);
        assert_eq!(About::of(&Failure::new(FailureKind::Permission).scope(Scope::Model)), About::Nothing);
        assert_eq!(About::of(&Failure::new(FailureKind::Permission)), About::Dead);
        assert_eq!(About::of(&Failure::new(FailureKind::ServerError)), About::Nothing);
    }
}
