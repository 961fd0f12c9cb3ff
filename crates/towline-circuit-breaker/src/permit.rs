//! A request that was let in, until its outcome is known.

use std::{fmt, sync::Arc, time::Duration};

use http::Response;
use http_body::Body;
use tokio::time::Instant;
use towline_core::{
    Failure, FailureKind, Outcome, Phase, StreamHandle,
    body::{End, OnEnd},
};

use crate::{Verdict, breaker::Line, circuit::Ticket};

/// Settles exactly once, on drop at the latest.
pub(crate) struct Permit {
    line: Arc<Line>,
    /// Taken when it settles.
    ticket: Option<Ticket>,
    began: Instant,
    /// Whether the service beneath was called: who is blamed for a time that ran out before that is not the provider.
    sent: bool,
    /// The deadline of the call.
    deadline: Option<Instant>,
    /// What is known of the stream whose end it awaits.
    stream: Option<StreamHandle>,
    settles_early: bool,
}

impl Permit {
    pub(crate) fn new(line: Arc<Line>, ticket: Ticket, began: Instant, deadline: Option<Instant>) -> Self {
        Self { line, ticket: Some(ticket), began, sent: false, deadline, stream: None, settles_early: false }
    }

    /// The service beneath is called.
    pub(crate) const fn sent(&mut self) {
        self.sent = true;
    }

    /// The head was a success; now its body has to be one.
    ///
    /// A stream may go on for minutes, during which a probe would have everybody else refused. What a probe wants to know,
    /// its first content shows; a body without a length is taken for a stream.
    pub(crate) fn await_body<R: Body>(&mut self, response: &Response<R>) {
        self.stream = StreamHandle::of(response.extensions()).cloned();
        let streams = self.stream.is_some() || response.body().size_hint().exact().is_none();
        self.settles_early = streams && self.is_probe();
    }

    /// Reports what became of the request; `Aborted` says nothing, so that the drop decides.
    pub(crate) fn report(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Success => self.settle(Verdict::Success, None),
            Outcome::Failure(failure) => self.failed(failure),
            _ => {}
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.settle(self.line.policy().verdict(failure), failure.hint.retry_after);
    }

    /// There was an error in place of an answer. That a layer beneath has cut the attempt off at the call's deadline is no other thing
    /// than the drop that would have come in the next moment, which decides.
    pub(crate) fn ended(mut self, failure: &Failure) {
        if failure.kind != FailureKind::DeadlineExceeded || !self.is_overdue(Instant::now()) {
            self.failed(failure);
        }
    }

    fn settle(&mut self, verdict: Verdict, hint: Option<Duration>) {
        if let Some(ticket) = self.ticket.take() {
            self.line.settle(ticket, verdict, hint);
        }
    }

    /// What `ClassifyLayer` beneath read about the end of the stream, which knows better than the end of the bytes.
    fn report_stream(&mut self) {
        if let Some(outcome) = self.stream.as_ref().and_then(StreamHandle::outcome) {
            self.report(&outcome);
        }
    }

    fn is_probe(&self) -> bool {
        self.ticket.is_some_and(Ticket::is_probe)
    }

    /// Whether somebody who leaves now leaves because the provider took too long: the call's deadline has passed meanwhile, or the
    /// age from which drops count, or a probe's own time.
    fn is_overdue(&self, now: Instant) -> bool {
        let policy = self.line.policy();
        let probe = self.is_probe().then_some(policy.rules.probe_deadline);
        let age = now.saturating_duration_since(self.began);
        let too_old = [policy.drops_after, probe].into_iter().flatten().any(|limit| limit <= age);
        self.sent && (too_old || self.deadline.is_some_and(|deadline| self.began < deadline && deadline <= now))
    }
}

impl<E> OnEnd<E> for Permit {
    fn end(mut self, end: End<'_, E>) {
        self.report_stream();
        match end {
            End::Complete => self.report(&Outcome::Success),
            End::Failed(_) => self.failed(&Failure::new(FailureKind::StreamBroken)),
            // Dropped: and so is this permit.
            _ => {}
        }
    }

    fn data(&mut self, bytes: usize) {
        if self.settles_early && bytes > 0 && self.stream.as_ref().is_none_or(|stream| stream.content_events() > 0) {
            self.report_stream();
            self.report(&Outcome::Success);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.ticket.is_some() && self.is_overdue(Instant::now()) {
            self.failed(&Failure::new(FailureKind::Timeout(Phase::Total)));
        }
        self.settle(Verdict::Neutral, None);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
