//! A request that was let in, until its outcome is known.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Buf;
use http::Response;
use http_body::Body;
use tokio::time::Instant;
use towline_core::{BoxError, Call, Error, Failure, FailureKind, Outcome, Phase, StreamHandle};

use crate::{Verdict, circuit::Ticket, line::Lane, span::nanos};

/// Settles exactly once, on drop at the latest.
///
/// It is moved often, with futures and with responses, and is plain words for that: the flags are bits so that its only niche is a pointer.
pub(crate) struct Permit {
    lane: Arc<Lane>,
    ticket: Ticket,
    flags: u64,
    /// When it was let in, where that matters, in nanoseconds since its circuit began.
    began: u64,
    /// The call that it is part of: its deadline stands there, and that a time limit above cuts it off.
    call: Option<Call>,
    /// What is known of the stream whose end it awaits.
    stream: Option<StreamHandle>,
}

/// It has nothing more to report; so from the beginning where the circuit only watches and would have refused.
const SETTLED: u64 = 1;
/// The service beneath was not called yet: who is blamed for a time that runs out before that is not the provider.
const UNSENT: u64 = 2;
/// It is known when it began.
const TIMED: u64 = 4;
/// First content will be timed, and has not come.
const UNTIMED: u64 = 8;
/// First content is as good as the end.
const SETTLES_EARLY: u64 = 16;
/// It has a stream.
const STREAMS: u64 = 32;

impl Permit {
    /// For a request that is no probe and whose times do not matter.
    #[inline]
    pub(crate) const fn new(lane: Arc<Lane>, ticket: Ticket) -> Self {
        Self { lane, ticket, flags: 0, began: 0, call: None, stream: None }
    }

    /// For a request that was let in at `now`.
    pub(crate) fn timed(lane: Arc<Lane>, ticket: Option<Ticket>, now: Instant, call: Option<&Call>) -> Self {
        let mut permit = Self::new(lane, ticket.unwrap_or_default());
        permit.flags = TIMED | if ticket.is_none() { SETTLED } else { 0 };
        if permit.lane.policy().rules.slow.is_some() {
            permit.flags |= UNTIMED;
        }
        permit.began = permit.lane.age(now);
        permit.call = call.cloned();
        permit
    }

    /// Whether it has nothing more to report.
    #[inline]
    pub(crate) const fn is_settled(&self) -> bool {
        self.is(SETTLED)
    }

    #[inline]
    const fn is(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }

    const fn set(&mut self, flag: u64, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// Whether the service beneath is called, or is waited for.
    pub(crate) const fn sent(&mut self, sent: bool) {
        self.set(UNSENT, !sent);
    }

    /// Whether a head says something by itself. That of nearly all says only that the body has to come.
    #[inline]
    pub(crate) fn is_told_by<R: Body>(&self, response: &Response<R>) -> bool {
        let plain = response.status().is_success() && response.extensions().is_empty() && !response.body().is_end_stream();
        self.is(TIMED) || !plain
    }

    /// Reports a head that says enough by itself. One that is a success says nothing yet: its body has to be one too.
    #[inline]
    pub(crate) fn saw_head<R: Body>(&mut self, response: &Response<R>) {
        if self.is_told_by(response) {
            self.told(response);
        }
    }

    #[inline(never)]
    fn told<R: Body>(&mut self, response: &Response<R>) {
        if !(response.status().is_success() && response.extensions().is_empty()) {
            self.read_head(response);
        }
        if self.is(TIMED) {
            self.await_content(response);
        }
        if response.body().is_end_stream() {
            self.complete();
        }
    }

    fn read_head<R>(&mut self, response: &Response<R>) {
        match Outcome::of_response(response) {
            Outcome::Success => {
                self.stream = StreamHandle::of(response.extensions()).cloned();
                self.set(STREAMS, self.stream.is_some());
            }
            outcome => {
                self.report(&outcome);
                self.dropped();
            }
        }
    }

    /// A stream may go on for minutes, during which a probe would have everybody else refused. What a probe wants to know,
    /// its first content shows; a body without a length is taken for a stream.
    fn await_content<R: Body>(&mut self, response: &Response<R>) {
        let streams = self.is(STREAMS) || response.body().size_hint().exact().is_none();
        self.set(SETTLES_EARLY, self.is_probe() && streams);
        // Without a handle the head is all that can be timed; and a stream that was held back begins with content.
        if self.is(UNTIMED) && self.stream.as_ref().is_none_or(|stream| stream.content_events() > 0) {
            self.time_content();
        }
    }

    /// Reports what became of the request; `Aborted` says nothing, so that the drop decides.
    fn report(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Success => self.succeed(),
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
        if self.is(SETTLED) {
            return;
        }
        let verdict = self.lane.policy().verdict(failure);
        // What failed late, and had brought nothing, was slow too.
        if verdict == Verdict::Failure && self.is(UNTIMED) && !self.is_probe() && self.is_slow(Instant::now()) {
            self.time_content();
        }
        self.settle(verdict, failure.hint.retry_after);
    }

    fn settle(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if !self.is(SETTLED) {
            self.flags |= SETTLED;
            self.lane.settle(self.ticket, verdict, hint);
        }
    }

    /// What ends well; nearly all do.
    #[inline]
    fn succeed(&mut self) {
        if !self.is(SETTLED) {
            self.flags |= SETTLED;
            self.lane.succeed(self.ticket);
        }
    }

    /// The body has come to its end. A call of its own: see [`GuardedBody`](crate::GuardedBody).
    #[inline(never)]
    pub(crate) fn complete(&mut self) {
        if self.is(STREAMS) {
            self.report_stream();
        }
        self.succeed();
    }

    /// The body has failed.
    #[cold]
    pub(crate) fn broke(&mut self) {
        self.report_stream();
        self.failed(&Failure::new(FailureKind::StreamBroken));
    }

    /// What `ClassifyLayer` beneath read about the end of the stream, which knows better than the end of the bytes.
    #[inline(never)]
    fn report_stream(&mut self) {
        if let Some(outcome) = self.stream.as_ref().and_then(StreamHandle::outcome) {
            self.report(&outcome);
        }
    }

    /// Whether somebody waits for first content.
    #[inline]
    pub(crate) const fn awaits_content(&self) -> bool {
        self.is(UNTIMED | SETTLES_EARLY)
    }

    /// Data may pass, and somebody waits for the first that is content.
    #[cold]
    pub(crate) fn look_for_content(&mut self, data: Option<&impl Buf>) {
        if data.is_none_or(|data| !data.has_remaining())
            || self.stream.as_ref().is_some_and(|stream| stream.content_events() == 0)
        {
            return;
        }
        if self.is(UNTIMED) {
            self.time_content();
        }
        if self.is(SETTLES_EARLY) {
            self.report_stream();
            self.report(&Outcome::Success);
            self.set(SETTLES_EARLY, false);
        }
    }

    /// First content is here. A probe that was slow has failed; the others are counted.
    #[cold]
    fn time_content(&mut self) {
        let now = Instant::now();
        let slow = self.is_slow(now);
        self.set(UNTIMED, false);
        match (self.is(SETTLED), self.is_probe()) {
            (false, false) => self.lane.content(self.ticket, slow, now),
            (false, true) if slow => self.settle(Verdict::Failure, None),
            _ => {}
        }
    }

    /// Whether first content is late if it comes now.
    fn is_slow(&self, now: Instant) -> bool {
        self.lane.policy().rules.slow.is_some_and(|(limit, _)| self.age(now) > Some(nanos(limit)))
    }

    /// How old it is, in nanoseconds, if that matters.
    fn age(&self, now: Instant) -> Option<u64> {
        self.is(TIMED).then(|| self.lane.age(now).saturating_sub(self.began))
    }

    fn is_probe(&self) -> bool {
        !self.is(SETTLED) && self.ticket.is_probe()
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
        !self.is(UNSENT) && (too_old() || cut_off())
    }

    /// If nobody has said what became of it: its future or body was dropped.
    #[cold]
    fn dropped(&mut self) {
        self.report_stream();
        if !self.is(SETTLED) && self.is_overdue(Instant::now()) {
            self.failed(&Failure::new(FailureKind::Timeout(Phase::Total)));
        }
        self.settle(Verdict::Neutral, None);
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if !self.is(SETTLED) {
            self.dropped();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
