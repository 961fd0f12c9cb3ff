//! What is known of a call between its attempts, and what is decided there.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use towline_core::{
    Attempt, Call, Error, Event, Failure, FailureKind, KeptRequest, Outcome, StopReason, Target, Withdrawal, body::TryClone,
};

use crate::{
    layer::Shared,
    policy::{Decision, Failed},
};

pub(crate) struct Progress {
    shared: Arc<Shared>,
    call: Option<Call>,
    target: Option<Target>,
    /// Attempts that were sent, the free one included.
    sent: u32,
    free_made: bool,
    /// What the attempt under way took from the budget; `None` for a first one.
    paid: Option<Withdrawal>,
    /// When the attempt under way was sent; only asked for where there is a trail to write.
    began: Option<Instant>,
    waited: Duration,
}

/// What follows an attempt.
pub(crate) enum Step<S, B, R> {
    Answer(Result<Response<R>, Error>),
    /// A further attempt, after the body has been drained if it is not known to lie in memory.
    Again(Box<Next<S, B, R>>, Option<R>),
}

/// A further attempt that was decided upon. Dropped before it is sent, it gives back what it took from the budget.
pub(crate) struct Next<S, B, R> {
    /// Who is to send it, once it is there.
    pub(crate) service: Option<S>,
    request: Request<B>,
    wait: Duration,
    /// When to send it; `None` for at once.
    pub(crate) until: Option<Instant>,
    free: bool,
    withdrawal: Option<Withdrawal>,
    failure: Failure,
    /// What the last attempt answered, to be handed on if this one cannot be made; `None` if it was drained.
    last: Option<Result<Response<R>, Error>>,
}

/// Why there is no further attempt, and what the last one failed with.
type Stopped = (StopReason, Failure);

/// An error body up to this size that was classified lies in memory.
const IN_MEMORY: u64 = 64 * 1024;

impl Progress {
    pub(crate) fn new(shared: Arc<Shared>, extensions: &Extensions) -> Self {
        let call = Call::of(extensions).cloned();
        let target = Target::of(extensions).cloned();
        let began = call.is_some().then(Instant::now);
        Self { shared, call, target, sent: 1, free_made: false, paid: None, began, waited: Duration::ZERO }
    }

    /// Whether the answer to the attempt under way is handed on, being no failure, as nearly all are. It stays where it lies, since a
    /// response is large.
    pub(crate) fn passes<R>(&mut self, response: &Response<R>) -> bool {
        let outcome = Outcome::of_response(response);
        if outcome.failure().is_some() {
            return false;
        }
        self.record(None, Some(response.status()));
        if outcome == Outcome::Success {
            self.settle();
            self.tell(&Event::AttemptSucceeded { target: self.target.as_ref(), attempt: self.sent });
        }
        true
    }

    /// Reads why the attempt under way failed and decides what follows.
    pub(crate) fn judge<S, B: TryClone, R: Body>(
        &mut self,
        result: Result<Response<R>, Error>,
        kept: Option<&KeptRequest<B>>,
    ) -> Step<S, B, R> {
        let status = result.as_ref().ok().map(Response::status);
        let outcome = Outcome::of(result.as_ref());
        self.record(outcome.failure(), status);
        let Some(failure) = outcome.into_failure() else { return Step::Answer(result) };
        if failure.is_refusal()
            && let Some(paid) = self.paid.take()
        {
            paid.succeeded();
        }
        self.tell(&Event::AttemptFailed { target: self.target.as_ref(), attempt: self.sent, failure: &failure });
        match self.plan(failure, status, kept) {
            Ok(mut next) => {
                let body = next.keep(result);
                Step::Again(next, body)
            }
            Err((reason, failure)) => {
                self.stopped(reason, &failure);
                Step::Answer(result)
            }
        }
    }

    /// Makes what the next attempt needs, or says why there is none.
    fn plan<S, B: TryClone, R>(
        &self,
        failure: Failure,
        status: Option<StatusCode>,
        kept: Option<&KeptRequest<B>>,
    ) -> Result<Box<Next<S, B, R>>, Stopped> {
        let now = Instant::now();
        let (wait, free) = match self.decide(&failure, status, now) {
            Decision::Retry { wait, free } => (wait, free),
            Decision::Stop(reason) => return Err((reason, failure)),
        };
        let Some(until) = now.checked_add(wait) else { return Err((StopReason::WaitTooLong, failure)) };
        let Some(request) = kept.and_then(KeptRequest::request) else { return Err((StopReason::NotReplayable, failure)) };
        let withdrawal = match &self.shared.budgets {
            Some(budgets) if !free => match budgets.withdraw(self.target.as_ref(), &failure, now) {
                None => return Err((StopReason::Budget, failure)),
                withdrawal => withdrawal,
            },
            _ => None,
        };
        let attempt = self.sent.saturating_add(1);
        self.tell(&Event::RetryScheduled { target: self.target.as_ref(), attempt, wait, failure: &failure });
        let until = (!wait.is_zero()).then_some(until);
        Ok(Box::new(Next { service: None, request, wait, until, free, withdrawal, failure, last: None }))
    }

    fn decide(&self, failure: &Failure, status: Option<StatusCode>, now: Instant) -> Decision {
        let failed = Failed {
            failure,
            status,
            attempts: self.sent.saturating_sub(u32::from(self.free_made)),
            free_made: self.free_made,
            has_alternative: self.call.as_ref().is_some_and(Call::has_alternative),
            own: self.target.as_ref().and_then(Target::attempts),
            remaining: self.call.as_ref().and_then(|call| call.remaining(now)),
        };
        self.shared.policy.decide(&failed, |most| self.shared.jitter.up_to(most))
    }

    /// The request of the next attempt, which is sent now: from here on it is paid for. Past the deadline it is not
    /// sent, and the answer to the call comes back.
    pub(crate) fn send<S, B, R>(&mut self, next: Next<S, B, R>) -> Result<Request<B>, Result<Response<R>, Error>> {
        let now = Instant::now();
        if self.call.as_ref().and_then(|call| call.remaining(now)).is_some_and(|remaining| remaining.is_zero()) {
            return Err(self.abandon(next, StopReason::Deadline, || Failure::new(FailureKind::DeadlineExceeded).into()));
        }
        let Next { mut request, wait, free, withdrawal, .. } = next;
        if let Some(name) = &self.shared.count_header {
            request.headers_mut().insert(name, HeaderValue::from(self.sent));
        }
        self.sent = self.sent.saturating_add(1);
        if free {
            // It takes the place of one that never left, and with it what that one had paid.
            self.free_made = true;
        } else {
            self.paid = withdrawal;
            self.paid.iter_mut().for_each(Withdrawal::spend);
        }
        self.began = self.call.is_some().then_some(now);
        self.waited = wait;
        Ok(request)
    }

    /// Gives up on an attempt that was decided upon: the last answer if it is still there, else `error`.
    pub(crate) fn abandon<S, B, R>(
        &self,
        next: Next<S, B, R>,
        reason: StopReason,
        error: impl FnOnce() -> Error,
    ) -> Result<Response<R>, Error> {
        self.stopped(reason, &next.failure);
        next.last.unwrap_or_else(|| Err(error()))
    }

    fn settle(&mut self) {
        match (self.paid.take(), &self.shared.budgets) {
            (Some(paid), _) => paid.succeeded(),
            (None, Some(budgets)) => budgets.succeeded(self.target.as_ref()),
            (None, None) => {}
        }
    }

    fn record(&self, failure: Option<&Failure>, status: Option<StatusCode>) {
        if let (Some(call), Some(began)) = (&self.call, self.began) {
            let mut attempt = Attempt::new(began, Instant::now());
            attempt.target = self.target.as_ref().map(|target| Arc::clone(target.key()));
            attempt.failure = failure.map(|failure| failure.kind);
            attempt.sent = !failure.is_some_and(Failure::is_refusal);
            attempt.status = status;
            attempt.waited = self.waited;
            call.record(attempt);
        }
    }

    fn stopped(&self, reason: StopReason, failure: &Failure) {
        self.tell(&Event::RetryStopped { target: self.target.as_ref(), attempts: self.sent, reason, failure });
    }

    fn tell(&self, event: &Event<'_>) {
        self.shared.observer.tell(event);
    }
}

impl<S, B, R: Body> Next<S, B, R> {
    /// Keeps the last answer, unless its body may hold a connection: then that body comes back, to be drained.
    fn keep(&mut self, result: Result<Response<R>, Error>) -> Option<R> {
        match result {
            Ok(response) if !is_in_memory(&response) => Some(response.into_body()),
            result => {
                self.last = Some(result);
                None
            }
        }
    }
}

/// Whether a failed response has nothing to come, or was read by `ClassifyLayer`, which leaves no more than its limit
/// behind.
fn is_in_memory<R: Body>(response: &Response<R>) -> bool {
    let body = response.body();
    let classified = response.extensions().get::<Outcome>().is_some();
    body.is_end_stream() || (classified && body.size_hint().exact().is_some_and(|bytes| bytes <= IN_MEMORY))
}
