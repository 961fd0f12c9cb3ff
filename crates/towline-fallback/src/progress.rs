//! What is known of a call between its hops, and what is decided there.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use towline_core::{
    Attempt, Call, Error, Event, Failure, FailureKind, KeptRequest, Origin, Outcome, Phase, Target, body::TryClone,
};

use crate::{
    answer::{Answer, answered_by, recovers_in, say_in_headers},
    config::Config,
    hops::Hops,
    rewrite::rewrite,
    table,
    targets::Role,
};

mod patience;

pub(crate) struct Progress<B, R> {
    config: Arc<Config>,
    call: Option<Call>,
    /// To make further hops from; none where there will be none.
    original: Option<KeptRequest<B>>,
    /// The target of the hop under way; none where there are no targets.
    at: Option<usize>,
    began: Instant,
    /// How long the call's trail was when this hop began, and when the first one did.
    trail: usize,
    first: usize,
    hops: Hops,
    waited: bool,
    /// Whether the hop under way is to stand in line, since that is shorter than all others.
    is_patient: bool,
    /// Whether it would have moved on if fewer calls had.
    capped: bool,
    /// The conversation that it belongs to.
    conversation: Option<Arc<str>>,
    /// On the heap, so that calls to which nothing happens are moved without it.
    best: Option<Box<(Failure, Answer<R>)>>,
}

/// What follows a hop.
pub(crate) enum Step<B, R> {
    Answer(Answer<R>),
    Hop(Result<Request<B>, Error>),
    /// Wait, then [`Progress::resume`] at this target.
    Wait(Instant, usize),
}

impl<B, R> Progress<B, R>
where
    B: Body + TryClone + From<Bytes>,
{
    /// A call, with the request of its first hop.
    pub(crate) fn begin(config: Arc<Config>, request: Request<B>) -> (Self, Result<Request<B>, Error>) {
        let call = Call::of(request.extensions()).cloned();
        let original = config.may_move_on().then(|| KeptRequest::keep(&request)).flatten();
        config.spill.pay_in();
        let (conversation, request) = config.conversation(request);
        let began = Instant::now();
        let stuck = conversation.as_deref().and_then(|conversation| config.stuck_to(conversation, began));
        let at = stuck.or_else(|| config.targets.next(Role::Ordinary, |_| false, &config.jitter));
        let first = match at.and_then(|at| config.targets.at(at).zip(config.targets.patch(at))) {
            Some((target, patch)) => rewrite(request, target, patch, &config.secrets),
            None => Ok(request),
        };
        let trail = call.as_ref().map_or(0, Call::attempts);
        let this = Self {
            config,
            call,
            original,
            at,
            began,
            trail,
            first: trail,
            hops: Hops::default(),
            waited: false,
            is_patient: false,
            capped: false,
            conversation,
            best: None,
        };
        this.tell_alternative();
        (this, first)
    }

    /// Ends a hop that has used up its share: `drop_it`, and what follows.
    pub(crate) fn give_up(&mut self, drop_it: impl FnOnce()) -> Step<B, R> {
        let (phase, now) = (Phase::Head, Instant::now());
        let limit = now.saturating_duration_since(self.began);
        // So that a breaker beneath does not take it for the caller's leave.
        match &self.call {
            Some(call) => call.cut_off(limit, now, drop_it),
            None => drop_it(),
        }
        self.config.observer.tell(&Event::TimedOut { target: self.target(), phase, limit });
        // Whoever writes the trail beneath was dropped with the hop.
        self.trail = self.call.as_ref().map_or(0, Call::attempts);
        self.judge(Err(Failure::new(FailureKind::Timeout(phase)).into()))
    }

    /// Whether a hop's answer is that of the call, being no failure, as nearly all are. It is marked where it lies then, since a response
    /// is large.
    pub(crate) fn passes(&mut self, response: &mut Response<R>) -> bool {
        let Some((at, target)) = self.at.zip(self.target().cloned()) else { return true };
        let outcome = Outcome::of_response(response);
        if outcome.failure().is_some() {
            return false;
        }
        let now = Instant::now();
        if let (Outcome::Success, Some(conversation)) = (&outcome, &self.conversation) {
            self.config.answered(conversation, at, now);
        }
        self.record(&target, None, Some(response.status()), now);
        answered_by(response, target);
        self.mark(response);
        true
    }

    /// What becomes of the call after a hop that failed.
    pub(crate) fn judge(&mut self, mut answer: Answer<R>) -> Step<B, R> {
        let Some((at, target)) = self.at.zip(self.target().cloned()) else { return Step::Answer(answer) };
        let (failure, now) = (Outcome::of(answer.as_ref()).into_failure(), Instant::now());
        let left = failure.is_some() && self.has_left();
        self.record(&target, failure.as_ref(), answer.as_ref().ok().map(Response::status), now);
        if let Ok(response) = &mut answer {
            answered_by(response, target.clone());
        }
        let Some(failure) = failure else { return Step::Answer(answer) };
        self.config.alert(&target, &failure, self.call.as_ref());
        self.hops.add(at, &failure, left, now);

        let role = self.config.targets.role(at).unwrap_or(Role::Ordinary);
        let lists = self.config.lists(&target, role, &failure);
        if let Some(request) = self.hop(lists, &target, &failure, now) {
            self.keep(failure, answer);
            return Step::Hop(request);
        }
        if let Some((until, first)) = self.recovery(now) {
            self.keep(failure, answer);
            return Step::Wait(until, first);
        }
        Step::Answer(self.last_word(role, lists, failure, answer, now))
    }

    /// The request for a target that was waited for.
    pub(crate) fn resume(&mut self, at: usize) -> Step<B, R> {
        self.hops.begin_again();
        // All were refusals, and what they told of time is past.
        let best = self.best.take();
        match self.request(at, Instant::now()) {
            Some(request) => Step::Hop(request),
            None => Step::Answer(best.map_or_else(|| Err(Failure::new(FailureKind::DeadlineExceeded).into()), |best| best.1)),
        }
    }

    /// The answer of a call whose service beneath will never be ready: it must not be asked again, for whatever target.
    pub(crate) fn broken(&mut self, error: Error) -> Step<B, R> {
        let answer = self.best.take().map_or(Err(error), |best| best.1);
        Step::Answer(self.finish(answer))
    }

    /// The request of the next hop, if there is one.
    fn hop(
        &mut self,
        lists: [Option<Role>; 2],
        from: &Target,
        failure: &Failure,
        now: Instant,
    ) -> Option<Result<Request<B>, Error>> {
        let in_time = self.call.as_ref().and_then(|call| call.remaining(now)).is_none_or(|left| !left.is_zero());
        if !in_time || self.config.is_enough(self.hops.asked(), self.attempts()) {
            return None;
        }
        let config = Arc::clone(&self.config);
        let next = |role| config.targets.next(role, |at| self.hops.is_past(at), &config.jitter);
        let at = lists.into_iter().flatten().find_map(next)?;
        self.is_patient = false;
        self.capped = !config.spill.lets_through(failure, now);
        if self.capped {
            return None;
        }
        let request = self.request(at, now)?;
        self.config.observer.tell(&Event::FallbackMoved { from, to: config.targets.at(at)?, failure });
        Some(request)
    }

    fn request(&mut self, at: usize, now: Instant) -> Option<Result<Request<B>, Error>> {
        let config = Arc::clone(&self.config);
        let (target, patch) = config.targets.at(at).zip(config.targets.patch(at))?;
        let request = self.original.as_ref()?.request()?;
        (self.at, self.began) = (Some(at), now);
        self.tell_alternative();
        Some(rewrite(request, target, patch, &config.secrets))
    }
}

impl<B, R> Progress<B, R> {
    pub(crate) fn target(&self) -> Option<&Target> {
        self.config.targets.at(self.at?)
    }

    /// The most useful failure.
    fn last_word(
        &mut self,
        role: Role,
        lists: [Option<Role>; 2],
        failure: Failure,
        answer: Answer<R>,
        now: Instant,
    ) -> Answer<R> {
        let config = &self.config;
        let stays = !lists.into_iter().flatten().any(|list| config.targets.has(list));
        // A target that was asked for one reason only does not hide that reason.
        let is_final = stays && (role == Role::Ordinary || failure.kind == FailureKind::ContentPolicy);
        let (mut failure, mut answer) = match self.best.take().map(|best| *best) {
            Some((best, kept)) if !is_final && !table::is_more_useful(&failure, &best) => (best, kept),
            _ => (failure, answer),
        };
        let wait = self.hops.recovers().filter(|_| !stays).map(|at| at.saturating_duration_since(now));
        if let Some(wait) = wait.filter(|wait| failure.hint.retry_after.is_none_or(|told| *wait < told)) {
            failure.hint.retry_after = Some(wait);
            answer = recovers_in(answer, wait);
        }
        config.observer.tell(&Event::FallbackExhausted { tried: self.hops.len(), failure: &failure });
        self.finish(answer)
    }

    fn keep(&mut self, failure: Failure, answer: Answer<R>) {
        if self.best.as_ref().is_none_or(|best| table::is_more_useful(&failure, &best.0)) {
            self.best = Some(Box::new((failure, answer)));
        }
    }

    /// How many attempts left us so far, retries included where the call's trail tells of them.
    fn attempts(&self) -> usize {
        self.count(|kind| !table::is_refusal(kind) && kind != FailureKind::Connect)
    }

    /// How many attempts there were that succeeded, or failed like this; without a trail, how many hops.
    fn count(&self, like: impl Fn(FailureKind) -> bool) -> usize {
        let counts = |attempt: &Attempt| attempt.failure.is_none_or(&like);
        let of_trail = |call: &Call| call.trail().iter().skip(self.first).filter(|attempt| counts(attempt)).count();
        self.call.as_ref().map_or(self.hops.asked(), of_trail)
    }

    /// Whether an attempt of this hop left us: a retry may have asked the target, and been refused by a breaker or limiter of ours the next time.
    fn has_left(&self) -> bool {
        let left = |attempt: &Attempt| attempt.failure.is_none_or(|kind| !table::is_refusal(kind));
        self.call.as_ref().is_some_and(|call| call.trail().iter().skip(self.trail).any(left))
    }

    /// A retry layer beneath writes down each attempt, the last one too; where there is none, the hop is the attempt, or the last of
    /// those that `AuthorizeLayer` made.
    fn record(&mut self, target: &Target, failure: Option<&Failure>, status: Option<StatusCode>, now: Instant) {
        let Some(call) = &self.call else { return };
        let kind = failure.map(|failure| failure.kind);
        let written = call.last_attempt().filter(|_| call.attempts() > self.trail).is_some_and(|last| last.failure == kind);
        let ours = failure.is_some_and(|failure| failure.origin == Origin::Local) && call.attempts() > self.trail;
        if !written && !ours {
            let mut attempt = Attempt::new(self.began, now);
            attempt.target = Some(Arc::clone(target.key()));
            attempt.failure = kind;
            attempt.sent = !failure.is_some_and(Failure::is_refusal);
            attempt.status = status;
            call.record(attempt);
        }
        self.trail = call.attempts();
    }

    /// The answer to the call, with what its headers are to say.
    fn finish(&self, mut answer: Answer<R>) -> Answer<R> {
        if let Ok(response) = &mut answer {
            self.mark(response);
        }
        answer
    }

    /// Says in headers what they are to say.
    fn mark(&self, response: &mut Response<R>) {
        if self.config.answer_headers {
            let answered = usize::from(Outcome::of_response(response).failure().is_none());
            let attempts = self.call.as_ref().map_or(self.hops.asked() + answered, Call::sent);
            let moved = self.hops.first().filter(|_| self.hops.len() + answered > 1);
            say_in_headers(response, attempts, moved);
        }
    }
}
