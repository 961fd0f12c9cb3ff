//! What a layer was told.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use http::Request;
use tokio::time::Instant;
use towline_core::{Call, Failure, FailureKind, Jitter, Observer, Scope, Target};

use crate::{
    rewrite::Secrets,
    spill::Spill,
    sticky::Sticky,
    table,
    targets::{Role, Targets},
};

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) targets: Targets,
    pub(crate) secrets: Secrets,
    pub(crate) observer: Observer,
    pub(crate) jitter: Jitter,
    pub(crate) max_targets: NonZeroUsize,
    pub(crate) max_attempts: Option<NonZeroU32>,
    pub(crate) moves_on: Option<Arc<Opinion>>,
    /// Those that are asked for one target only.
    pub(crate) of_targets: Vec<(Arc<str>, Arc<Opinion>)>,
    pub(crate) auth_moves_on: bool,
    pub(crate) on_auth_failure: Option<Arc<Hook>>,
    pub(crate) on_refusal: Option<Arc<Hook>>,
    /// The longest wait for a target that a layer beneath keeps back.
    pub(crate) recovery: Duration,
    /// The part of the time left that a target may use up while there is another.
    pub(crate) share: f64,
    pub(crate) answer_headers: bool,
    pub(crate) spill: Spill,
    pub(crate) sticky: Option<Arc<Sticky>>,
}

pub(crate) type Opinion = dyn Fn(&Failure) -> Option<bool> + Send + Sync;
pub(crate) type Hook = dyn Fn(&Target, &Failure, Option<&Call>) + Send + Sync;

/// How many targets a call tries at most, and how many attempts it makes, unless told otherwise.
const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

impl Config {
    pub(crate) fn new(targets: Targets) -> Self {
        Self {
            secrets: Secrets::of(targets.all()),
            targets,
            observer: Observer::none(),
            jitter: Jitter::new(),
            max_targets: MOST,
            max_attempts: None,
            moves_on: None,
            of_targets: Vec::new(),
            auth_moves_on: false,
            on_auth_failure: None,
            on_refusal: None,
            recovery: Duration::from_secs(5),
            share: 0.5,
            answer_headers: false,
            spill: Spill::default(),
            sticky: None,
        }
    }

    /// Whether a call may need a copy of its request.
    pub(crate) fn may_move_on(&self) -> bool {
        self.targets.all().len() > 1
    }

    /// The conversation that a request belongs to, where conversations stick.
    pub(crate) fn conversation<B>(&self, request: Request<B>) -> (Option<Arc<str>>, Request<B>) {
        let Some(sticky) = &self.sticky else { return (None, request) };
        let (parts, body) = request.into_parts();
        (sticky.key(&parts), Request::from_parts(parts, body))
    }

    /// The ordinary target that a conversation stays with.
    pub(crate) fn stuck_to(&self, conversation: &str, now: Instant) -> Option<usize> {
        let name = self.sticky.as_ref()?.target(conversation, now)?;
        self.targets.ordinary(&name)
    }

    /// A conversation was answered by the target at `at`; one that serves a single purpose is not what it is to stay with.
    pub(crate) fn answered(&self, conversation: &Arc<str>, at: usize, now: Instant) {
        let target = self.targets.at(at).filter(|_| self.targets.role(at) == Some(Role::Ordinary));
        if let (Some(sticky), Some(target)) = (&self.sticky, target) {
            sticky.answered(conversation, target, now);
        }
    }

    /// Whether a call that has been at `targets` and made `attempts` may not go on. Unless told otherwise, retries at the first
    /// target leave a second one its turn.
    pub(crate) fn is_enough(&self, targets: usize, attempts: usize) -> bool {
        let told = self.max_attempts.and_then(|most| usize::try_from(most.get()).ok());
        let too_many = told.map_or(targets > 1 && attempts >= self.max_targets.max(MOST).get(), |most| attempts >= most);
        targets >= self.max_targets.get() || too_many
    }

    /// The lists in which the next target for a call that failed like this at `target` is looked for, in order. None: the failure
    /// is the answer.
    pub(crate) fn lists(&self, target: &Target, current: Role, failure: &Failure) -> [Option<Role>; 2] {
        let special = match failure.kind {
            FailureKind::ContextLength => Some(Role::Window),
            FailureKind::ContentPolicy if failure.scope != Scope::Request => Some(Role::Policy),
            _ => None,
        };
        match self.opinion(target, failure) {
            Some(false) => [None, None],
            Some(true) => [special, Some(current)],
            None if special.is_some() => [special, None],
            None => [(self.auth_may(failure) || table::moves_on(failure)).then_some(current), None],
        }
    }

    fn opinion(&self, target: &Target, failure: &Failure) -> Option<bool> {
        let of_target = self.of_targets.iter().find(|(name, _)| **name == *target.name()).map(|(_, opinion)| opinion);
        of_target.and_then(|opinion| opinion(failure)).or_else(|| self.moves_on.as_ref().and_then(|opinion| opinion(failure)))
    }

    fn auth_may(&self, failure: &Failure) -> bool {
        self.auth_moves_on && is_auth(failure)
    }

    /// Tells those who want to hear of keys that are not accepted and of refusals.
    pub(crate) fn alert(&self, target: &Target, failure: &Failure, call: Option<&Call>) {
        let hook = match failure.kind {
            FailureKind::ContentPolicy => &self.on_refusal,
            _ if is_auth(failure) => &self.on_auth_failure,
            _ => &None,
        };
        if let Some(hook) = hook {
            hook(target, failure, call);
        }
    }
}

fn is_auth(failure: &Failure) -> bool {
    failure.scope == Scope::Credential && matches!(failure.kind, FailureKind::Auth | FailureKind::Permission)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("targets", &self.targets)
            .field("max_targets", &self.max_targets)
            .field("max_attempts", &self.max_attempts)
            .field("auth_moves_on", &self.auth_moves_on)
            .field("wait_for_recovery", &self.recovery)
            .field("deadline_share", &self.share)
            .field("answer_headers", &self.answer_headers)
            .field("spill_over", &self.spill)
            .field("sticky", &self.sticky.is_some())
            .finish_non_exhaustive()
    }
}
