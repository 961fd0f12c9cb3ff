//! A request that was let in, until its outcome is known.

use std::{fmt, time::Duration};

use http::Response;
use http_body::Body;
use tokio::time::Instant;
use towline_core::{
    Call, Failure, FailureKind, Outcome, Phase, StreamHandle,
    body::{End, OnEnd},
};

use crate::{Verdict, circuit::Ticket, line::Seat};

/// Settles exactly once, on drop at the latest.
pub(crate) struct Permit {
    seat: Seat,
    /// Taken when it settles; `None` from the beginning where the circuit only watches and would have refused.
    ticket: Option<Ticket>,
    /// From when on somebody who leaves does so because it takes too long: at the deadline of the call, the age from which drops
    /// count, the probe's own time.
    due: Option<Instant>,
    /// The call that it is part of, and when it was let in: a time limit above says there that it cuts it off.
    call: Option<(Call, Instant)>,
    /// Until when first content has to be there so as not to be slow. Taken when it is, and `None` where nobody asks.
    slow_after: Option<Instant>,
    /// What is known of the stream whose end it awaits.
    stream: Option<StreamHandle>,
    /// Whether the service beneath was called: who is blamed for a time that ran out before that is not the provider.
    sent: bool,
    /// Whether first content is as good as the end.
    settles_early: bool,
}

impl Permit {
    /// For a request whose times do not matter.
    #[inline]
    pub(crate) const fn untimed(seat: Seat, ticket: Ticket) -> Self {
        Self {
            seat,
            ticket: Some(ticket),
            due: None,
            call: None,
            slow_after: None,
            stream: None,
            sent: false,
            settles_early: false,
        }
    }

    pub(crate) fn timed(seat: Seat, ticket: Option<Ticket>, now: Instant, call: Option<&Call>) -> Self {
        let policy = seat.policy();
        let probe = ticket.filter(|ticket| ticket.is_probe()).map(|_| policy.rules.probe_deadline);
        let ages = [policy.drops_after, probe].into_iter().flatten().filter_map(|age| now.checked_add(age));
        // A deadline that has passed already is not the provider's fault.
        let due = ages.chain(call.and_then(Call::deadline).filter(|deadline| *deadline > now)).min();
        let call = call.map(|call| (call.clone(), now));
        let slow_after = policy.rules.slow.and_then(|(limit, _)| now.checked_add(limit));
        Self { seat, ticket, due, call, slow_after, stream: None, sent: false, settles_early: false }
    }

    /// The service beneath is called.
    #[inline]
    pub(crate) const fn sent(mut self) -> Self {
        self.sent = true;
        self
    }

    /// Reports a head that says enough by itself. One that is a success says nothing yet: its body has to be one too.
    #[inline]
    pub(crate) fn saw_head<R: Body>(mut self, response: &Response<R>) -> Option<Self> {
        if !(response.status().is_success() && response.extensions().is_empty()) {
            match Outcome::of_response(response) {
                Outcome::Success => self.stream = StreamHandle::of(response.extensions()).cloned(),
                outcome => {
                    self.report(&outcome);
                    return None;
                }
            }
        }
        if self.slow_after.is_some() || self.is_probe() {
            self.await_content(response);
        }
        Some(self)
    }

    /// A stream may go on for minutes, during which a probe would have everybody else refused. What a probe wants to know,
    /// its first content shows; a body without a length is taken for a stream.
    #[cold]
    fn await_content<R: Body>(&mut self, response: &Response<R>) {
        self.settles_early = self.is_probe() && (self.stream.is_some() || response.body().size_hint().exact().is_none());
        // Without a handle the head is all that can be timed; and a stream that was held back begins with content.
        if self.slow_after.is_some() && self.stream.as_ref().is_none_or(|stream| stream.content_events() > 0) {
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

    /// There was an error in place of an answer. That a layer beneath has cut the attempt off at the call's deadline is no
    /// other thing than the drop that would have come in the next moment, which decides.
    #[cold]
    pub(crate) fn ended(mut self, failure: &Failure) {
        if failure.kind != FailureKind::DeadlineExceeded || !self.is_overdue(Instant::now()) {
            self.failed(failure);
        }
    }

    #[cold]
    fn failed(&mut self, failure: &Failure) {
        let verdict = self.seat.policy().verdict(failure);
        // What failed late, and had brought nothing, was slow too.
        if verdict == Verdict::Failure && !self.is_probe() && self.is_slow(Instant::now()) {
            self.time_content();
        }
        self.settle(verdict, failure.hint.retry_after);
    }

    #[inline]
    fn settle(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if let Some(ticket) = self.ticket.take() {
            self.seat.settle(ticket, verdict, hint);
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
        if self.slow_after.is_some() {
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
        self.slow_after = None;
        match self.ticket {
            Some(ticket) if !ticket.is_probe() => self.seat.content(ticket, slow, now),
            Some(_) if slow => self.settle(Verdict::Failure, None),
            _ => {}
        }
    }

    /// Whether first content is late, or comes late if it comes now.
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_after.is_some_and(|limit| limit < now)
    }

    #[inline]
    fn is_probe(&self) -> bool {
        self.ticket.is_some_and(Ticket::is_probe)
    }

    /// Whether somebody who leaves now leaves because the provider took too long.
    fn is_overdue(&self, now: Instant) -> bool {
        let is_cut_off = || self.call.as_ref().is_some_and(|(call, began)| call.is_cut_off(*began));
        self.sent && (self.due.is_some_and(|due| due <= now) || is_cut_off())
    }

    /// Nobody has said what became of it: its future or body was dropped.
    #[cold]
    fn dropped(&mut self) {
        if self.is_overdue(Instant::now()) {
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
        if self.settles_early || self.slow_after.is_some() {
            self.look_for_content(bytes);
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.dropped();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
