//! A request that was let in, until its outcome is known.

use std::{fmt, num::NonZeroU64, sync::Arc, time::Duration};

use http::Response;
use http_body::Body;
use tokio::time::Instant;
use towline_core::{
    BoxError, Call, Error, Failure, FailureKind, Outcome, Phase, StreamHandle,
    body::{End, OnEnd},
};

use crate::{Verdict, circuit::Ticket, line::Lane, span::nanos};

/// Settles exactly once, on drop at the latest.
pub(crate) struct Permit {
    lane: Arc<Lane>,
    /// Taken when it settles; `None` from the beginning where the circuit only watches and would have refused.
    ticket: Option<Ticket>,
    /// When it was let in, where that matters, in nanoseconds since its circuit began, and one more: a permit is moved often
    /// and is better small.
    began: Option<NonZeroU64>,
    /// The call that it is part of: its deadline stands there, and that a time limit above cuts it off.
    call: Option<Call>,
    /// What is known of the stream whose end it awaits.
    stream: Option<StreamHandle>,
    /// Whether the service beneath was called: who is blamed for a time that ran out before that is not the provider.
    sent: bool,
    /// Whether first content will be timed, and has not come.
    untimed: bool,
    /// Whether first content is as good as the end.
    settles_early: bool,
}

impl Permit {
    /// For a request whose times do not matter.
    #[inline]
    pub(crate) const fn new(lane: Arc<Lane>, ticket: Option<Ticket>) -> Self {
        let (began, call, stream) = (None, None, None);
        Self { lane, ticket, began, call, stream, sent: true, untimed: false, settles_early: false }
    }

    /// For a request that was let in at `now`.
    pub(crate) fn timed(lane: Arc<Lane>, ticket: Option<Ticket>, now: Instant, call: Option<&Call>) -> Self {
        let mut permit = Self::new(lane, ticket);
        permit.began = Some(NonZeroU64::MIN.saturating_add(permit.lane.age(now)));
        permit.untimed = permit.lane.policy().rules.slow.is_some();
        permit.call = call.cloned();
        permit
    }

    /// Whether the service beneath is called, or is waited for.
    pub(crate) const fn sent(&mut self, sent: bool) {
        self.sent = sent;
    }

    /// Whether it has nothing more to report.
    #[inline]
    pub(crate) const fn is_settled(&self) -> bool {
        self.ticket.is_none()
    }

    /// Reports a head that says enough by itself. One that is a success says nothing yet: its body has to be one too.
    #[inline]
    pub(crate) fn saw_head<R: Body>(&mut self, response: &Response<R>) {
        if !(response.status().is_success() && response.extensions().is_empty()) {
            match Outcome::of_response(response) {
                Outcome::Success => self.stream = StreamHandle::of(response.extensions()).cloned(),
                outcome => {
                    self.report(&outcome);
                    self.dropped();
                }
            }
        }
        if self.untimed || self.is_probe() {
            self.await_content(response);
        }
    }

    /// A stream may go on for minutes, during which a probe would have everybody else refused. What a probe wants to know,
    /// its first content shows; a body without a length is taken for a stream.
    #[cold]
    fn await_content<R: Body>(&mut self, response: &Response<R>) {
        self.settles_early = self.is_probe() && (self.stream.is_some() || response.body().size_hint().exact().is_none());
        // Without a handle the head is all that can be timed; and a stream that was held back begins with content.
        if self.untimed && self.stream.as_ref().is_none_or(|stream| stream.content_events() > 0) {
            self.time_content();
        }
    }

    /// Reports what became of the request; `Aborted` says nothing, so that the drop decides.
    fn report(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Success => self.settle(Verdict::Success, None),
            Outcome::Failure(failure) => self.failed(failure),
            _ => {}
        }
    }

    /// Reports an error in place of an answer, and makes it ours. That a layer beneath has cut the attempt off at the call's
    /// deadline is no other thing than the drop that would have come in the next moment, which decides.
    #[cold]
    pub(crate) fn ended(mut self, error: impl Into<BoxError>) -> Error {
        let error = Error::from(error.into());
        if error.kind() != FailureKind::DeadlineExceeded || !self.is_overdue(Instant::now()) {
            self.failed(error.failure());
        }
        error
    }

    #[cold]
    fn failed(&mut self, failure: &Failure) {
        let verdict = self.lane.policy().verdict(failure);
        // What failed late, and had brought nothing, was slow too.
        if verdict == Verdict::Failure && self.untimed && !self.is_probe() && self.is_slow(Instant::now()) {
            self.time_content();
        }
        self.settle(verdict, failure.hint.retry_after);
    }

    #[inline]
    fn settle(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if let Some(ticket) = self.ticket.take() {
            self.lane.settle(ticket, verdict, hint);
        }
    }

    /// What `ClassifyLayer` beneath read about the end of the stream, which knows better than the end of the bytes.
    fn report_stream(&mut self) {
        if let Some(outcome) = self.stream.as_ref().and_then(StreamHandle::outcome) {
            self.report(&outcome);
        }
    }

    /// Data passes and somebody waits for the first that is content.
    #[cold]
    fn look_for_content(&mut self, bytes: usize) {
        if bytes == 0 || self.stream.as_ref().is_some_and(|stream| stream.content_events() == 0) {
            return;
        }
        if self.untimed {
            self.time_content();
        }
        if self.settles_early {
            self.report_stream();
            self.report(&Outcome::Success);
        }
    }

    /// First content is here. A probe that was slow has failed; the others are counted.
    #[cold]
    fn time_content(&mut self) {
        let now = Instant::now();
        let slow = self.is_slow(now);
        self.untimed = false;
        match self.ticket {
            Some(ticket) if !ticket.is_probe() => self.lane.content(ticket, slow, now),
            Some(_) if slow => self.settle(Verdict::Failure, None),
            _ => {}
        }
    }

    /// Whether first content is late if it comes now.
    fn is_slow(&self, now: Instant) -> bool {
        self.lane.policy().rules.slow.is_some_and(|(limit, _)| self.age(now) > Some(nanos(limit)))
    }

    /// How old it is, in nanoseconds, if that matters.
    fn age(&self, now: Instant) -> Option<u64> {
        self.began.map(|began| self.lane.age(now).saturating_sub(began.get() - 1))
    }

    #[inline]
    fn is_probe(&self) -> bool {
        self.ticket.is_some_and(Ticket::is_probe)
    }

    /// Whether somebody who leaves now leaves because the provider took too long: the call's deadline has passed meanwhile, a
    /// time limit above has, or the age from which drops count, or a probe's own time.
    fn is_overdue(&self, now: Instant) -> bool {
        let policy = self.lane.policy();
        let probe = self.is_probe().then_some(policy.rules.probe_deadline);
        let limits = [policy.drops_after, probe].into_iter().flatten();
        let too_old = || limits.into_iter().any(|limit| self.age(now) >= Some(nanos(limit)));
        let cut_off = || {
            let (Some(call), Some(age)) = (&self.call, self.age(now)) else { return false };
            let began = now.checked_sub(Duration::from_nanos(age)).unwrap_or(now);
            call.is_cut_off(began) || call.deadline().is_some_and(|deadline| began < deadline && deadline <= now)
        };
        self.sent && (too_old() || cut_off())
    }

    /// If nobody has said what became of it: its future or body was dropped.
    #[cold]
    fn dropped(&mut self) {
        if !self.is_settled() && self.is_overdue(Instant::now()) {
            self.failed(&Failure::new(FailureKind::Timeout(Phase::Total)));
        }
        self.settle(Verdict::Neutral, None);
    }
}

impl<E> OnEnd<E> for Permit {
    #[inline]
    fn end(mut self, end: End<'_, E>) {
        if self.stream.is_some() {
            self.report_stream();
        }
        match end {
            End::Complete => self.settle(Verdict::Success, None),
            End::Failed(_) => self.failed(&Failure::new(FailureKind::StreamBroken)),
            // Dropped: and so is this permit.
            _ => {}
        }
    }

    #[inline]
    fn data(&mut self, bytes: usize) {
        if self.settles_early || self.untimed {
            self.look_for_content(bytes);
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.is_settled() {
            self.dropped();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
