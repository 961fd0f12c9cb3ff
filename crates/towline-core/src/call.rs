//! What the caller asked for once: all attempts together.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Extensions, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{failure::FailureKind, target::Dialect};

/// One call, as a cheap handle (one `Arc`) in the extensions of its request, of all its attempts, and of its response.
///
/// `CallLayer` makes it. Layers that find none use their defaults.
#[derive(Clone)]
pub struct Call(Arc<Granted>);

/// A call and the time that somebody granted it: whoever sits in the middle may grant less than the caller did.
struct Granted {
    deadline: Option<Instant>,
    inner: Holds,
}

/// One allocation for a call, and one more for each that has less time.
enum Holds {
    Itself(Inner),
    Other(Call),
}

struct Inner {
    facts: Facts,
    began: Instant,
    trail: Mutex<Vec<Attempt>>,
    has_alternative: AtomicBool,
    /// When the first of the other targets recovers.
    others_recover: Mutex<Option<Instant>>,
    /// The time limit that is being enforced, and when it passed.
    cut_off: Mutex<Option<(Duration, Instant)>>,
}

/// What a request says about itself, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The dialect that the request speaks, if its path tells.
    pub dialect: Option<Dialect>,
    /// The model it asks for.
    pub model: Option<Arc<str>>,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The most tokens that the answer may have, if it says so.
    pub max_output_tokens: Option<u64>,
    /// How many answers it asks for at once, if it says so; each may have so many tokens.
    pub answers: Option<u64>,
    /// An estimate of the prompt's tokens; 0 where nothing is known.
    pub input_tokens: u64,
}

/// One line of a call's trail: categories and times only, never a provider's text or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The target's name, where one was chosen.
    pub target: Option<Arc<str>>,
    /// Why it failed; `None` if it succeeded.
    pub failure: Option<FailureKind>,
    /// The status that was answered, if any was.
    pub status: Option<StatusCode>,
    /// When it was sent.
    pub began: Instant,
    /// How long it took until its outcome was known.
    pub took: Duration,
    /// How long we had waited before it (backoff).
    pub waited: Duration,
    /// Whether it left us; `false` if a layer of ours refused it.
    pub sent: bool,
}

impl Call {
    /// A call that began at `began` and must end by `deadline`.
    #[must_use]
    pub fn new(facts: Facts, began: Instant, deadline: Option<Instant>) -> Self {
        let (trail, cut_off) = (Mutex::default(), Mutex::default());
        let (has_alternative, others_recover) = (AtomicBool::new(false), Mutex::default());
        let inner = Inner { facts, began, trail, has_alternative, others_recover, cut_off };
        Self(Arc::new(Granted { deadline, inner: Holds::Itself(inner) }))
    }

    /// The same call, its trail included, for whom it must end by `deadline`, or by its own one if that is earlier.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        if self.0.deadline.is_some_and(|own| own <= deadline) {
            return self;
        }
        Self(Arc::new(Granted { deadline: Some(deadline), inner: Holds::Other(self) }))
    }

    /// The call that a request or response belongs to, if `CallLayer` stands above.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    fn inner(&self) -> &Inner {
        match &self.0.inner {
            Holds::Itself(inner) => inner,
            Holds::Other(call) => call.inner(),
        }
    }

    /// What the request says about itself.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.inner().facts
    }

    /// When the call began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.inner().began
    }

    /// When it must end.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// The time that is left at `now`: `None` without a deadline, zero after it.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        Some(self.0.deadline?.saturating_duration_since(now))
    }

    /// Whether another target waits for this call, should the present one not answer: then patience with one that limits the rate
    /// is not what serves the caller. `false` unless a fallback has said otherwise.
    #[must_use]
    pub fn has_alternative(&self) -> bool {
        self.inner().has_alternative.load(Ordering::Relaxed)
    }

    /// Says whether another target waits, for the hop that begins now.
    pub fn set_alternative(&self, waits: bool) {
        self.inner().has_alternative.store(waits, Ordering::Relaxed);
    }

    /// When the first of the other targets recovers, where layers of ours keep all of them back: whoever would have to wait here for longer
    /// than until then is served sooner there. `None` unless a fallback has said so.
    #[must_use]
    pub fn others_recover(&self) -> Option<Instant> {
        *self.inner().others_recover.lock()
    }

    /// Says when the first of the other targets recovers, for the hop that begins now.
    pub fn set_others_recover(&self, at: Option<Instant>) {
        *self.inner().others_recover.lock() = at;
    }

    /// Adds a line to the trail.
    pub fn record(&self, attempt: Attempt) {
        self.inner().trail.lock().push(attempt);
    }

    /// The attempts so far, first to last.
    #[must_use]
    pub fn trail(&self) -> Vec<Attempt> {
        self.inner().trail.lock().clone()
    }

    /// The last attempt so far.
    #[must_use]
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.inner().trail.lock().last().cloned()
    }

    /// How many attempts there have been so far, those included that a layer of ours refused.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.inner().trail.lock().len()
    }

    /// How many attempts left us so far.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.inner().trail.lock().iter().filter(|attempt| attempt.sent).count()
    }

    /// Runs `drop_it`, which drops what is under way since a time limit of `limit` has passed at `now`.
    ///
    /// Whoever is dropped by it, and would take that for the caller's leave, learns from [`is_cut_off`](Self::is_cut_off) that it is
    /// none. That is how a circuit breaker beneath a timeout hears of it.
    pub fn cut_off<T>(&self, limit: Duration, now: Instant, drop_it: impl FnOnce() -> T) -> T {
        // Not held meanwhile: those who are dropped look here.
        *self.inner().cut_off.lock() = Some((limit, now));
        let result = drop_it();
        *self.inner().cut_off.lock() = None;
        result
    }

    /// Whether an attempt that began at `began` and is dropped right now is cut off by a time limit above it, and has had at least
    /// half of that time for itself. One that was only the last of several that shared the time is not to blame.
    #[must_use]
    pub fn is_cut_off(&self, began: Instant) -> bool {
        self.inner().cut_off.lock().is_some_and(|(limit, at)| at.saturating_duration_since(began) >= limit / 2)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("facts", &self.inner().facts)
            .field("trail", &*self.inner().trail.lock())
            .finish_non_exhaustive()
    }
}

impl Attempt {
    /// An attempt that was sent at `began` and whose outcome is known at `now`; it has succeeded unless said otherwise.
    #[must_use]
    pub fn new(began: Instant, now: Instant) -> Self {
        Self {
            target: None,
            failure: None,
            status: None,
            began,
            took: now.saturating_duration_since(began),
            waited: Duration::ZERO,
            sent: true,
        }
    }
}

/// One line for people, as in `primary: rate_limit 429 after 12ms`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target.as_deref().unwrap_or("attempt"))?;
        f.write_str(": ")?;
        f.write_str(self.failure.map_or("ok", FailureKind::name))?;
        if let Some(status) = self.status {
            write!(f, " {}", status.as_u16())?;
        }
        write!(f, " after {}ms", self.took.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_time_can_be_granted_and_the_trail_stays_one() {
        let now = Instant::now();
        let call = Call::new(Facts::default(), now, Some(now + Duration::from_secs(60)));
        let hurried = call.clone().until(now + Duration::from_secs(5));
        assert_eq!(hurried.remaining(now), Some(Duration::from_secs(5)));
        assert_eq!(hurried.clone().until(now + Duration::from_secs(2)).remaining(now), Some(Duration::from_secs(2)));
        assert_eq!(call.clone().until(now + Duration::from_secs(90)).deadline(), call.deadline());
        hurried.record(Attempt::new(now, now));
        assert_eq!((call.attempts(), call.remaining(now)), (1, Some(Duration::from_secs(60))));
        assert_eq!((call.last_attempt(), call.trail()), (Some(Attempt::new(now, now)), vec![Attempt::new(now, now)]));
        call.record(Attempt { failure: Some(FailureKind::CircuitOpen), sent: false, ..Attempt::new(now, now) });
        assert_eq!((call.attempts(), call.sent()), (2, 1), "one was refused by us");
    }

    #[test]
    fn it_is_one_pointer_wide() {
        assert_eq!(size_of::<Option<Call>>(), size_of::<usize>());
    }

    #[test]
    fn an_attempt_is_cut_off_while_the_limit_is_enforced_and_only_if_it_had_half_of_the_time() {
        let began = Instant::now();
        let after = |secs| began + Duration::from_secs(secs);
        let call = Call::new(Facts::default(), began, None);
        let seen = || [0, 5, 6, 10].map(|secs| call.is_cut_off(after(secs)));
        assert_eq!(seen(), [false; 4]);
        assert_eq!(call.clone().cut_off(Duration::from_secs(10), after(10), seen), [true, true, false, false]);
        assert_eq!(seen(), [false; 4]);
    }
}
