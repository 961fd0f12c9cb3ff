//! What a request was charged, until it is known what it has cost.

use std::sync::Arc;

use http::{HeaderMap, Response};
use tokio::time::Instant;
use towline_core::{
    Error, Event, Failure, FailureKind, Outcome, Phase, StreamEnd, StreamHandle, Target, Usage,
    body::{End, OnEnd},
    wall_clock,
};
use towline_wire::limits;

use crate::{books::Charge, cost::Cost, limiter::Limiter};

/// Settles exactly once, on drop at the latest: given back unless the request was sent, else kept unless more is known.
#[derive(Debug)]
pub(crate) struct Reservation {
    limiter: Arc<Limiter>,
    charge: Charge,
    /// What has become of it so far.
    fate: Fate,
    stream: Option<StreamHandle>,
    /// Where it goes, if there is anybody to be told of it.
    target: Option<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unsent,
    Sent,
    /// It was refused before there was any content: it has cost one request, and no tokens.
    Unanswered,
    /// Its answer has ended whole.
    Whole,
}

impl Reservation {
    pub(crate) const fn new(limiter: Arc<Limiter>, charge: Charge) -> Self {
        Self { limiter, charge, fate: Fate::Unsent, stream: None, target: None }
    }

    /// It goes to `target`; whoever listens hears that the gate is open, if it is the first since it was closed.
    pub(crate) fn to(mut self, target: Option<&Target>) -> Self {
        let observer = self.limiter.observer();
        if observer.is_listening() {
            self.target = target.cloned();
            if self.charge.reopens {
                observer.tell(&Event::LimitOpened { target });
            }
        }
        self
    }

    /// What it was charged.
    #[cfg(all(test, towline_loom))]
    pub(crate) const fn charge(&self) -> &Charge {
        &self.charge
    }

    /// The request is sent: its charge stays, unless more becomes known.
    pub(crate) const fn sent(&mut self) {
        self.fate = Fate::Sent;
    }

    /// There is no answer. What proves that nothing was sent gives the charge back: no connection was made, or a layer beneath
    /// refused.
    pub(crate) fn failed(mut self, error: &Error) {
        use FailureKind as K;
        let never_sent = matches!(
            error.kind(),
            K::Connect | K::Timeout(Phase::Connect) | K::CircuitOpen | K::LimitedLocally | K::Untranslatable
        );
        self.told_to_stop(error.failure());
        if never_sent {
            self.fate = Fate::Unsent;
        }
    }

    /// There is an answer. What is worth waiting for until its end is handed back.
    pub(crate) fn answered<R>(mut self, response: &Response<R>) -> Option<Self> {
        self.heard(response.headers());
        match Outcome::of_response(response) {
            Outcome::Failure(failure) => {
                self.told_to_stop(&failure);
                if says_no(&failure) {
                    self.fate = Fate::Unanswered;
                }
                None
            }
            Outcome::Success if self.charge.searches => {
                self.limiter.correct(|books| books.went_well(Instant::now()));
                self.until_the_end(response)
            }
            _ => self.until_the_end(response),
        }
    }

    fn until_the_end<R>(mut self, response: &Response<R>) -> Option<Self> {
        if !self.charge.awaits_end {
            return None;
        }
        self.stream = StreamHandle::of(response.extensions()).cloned();
        Some(self)
    }

    /// What the answer's headers tell about limits.
    fn heard(&self, headers: &HeaderMap) {
        if !limits::may_tell(headers) {
            return;
        }
        let told = limits::read(headers, wall_clock());
        if [told.requests, told.tokens, told.input_tokens, told.output_tokens].iter().any(|bucket| bucket.remaining.is_some()) {
            self.limiter.books().hear(Instant::now(), &self.charge, &told);
        }
    }

    /// A 429 stops everybody.
    fn told_to_stop(&self, failure: &Failure) {
        if failure.kind == FailureKind::RateLimited {
            let pause = self.limiter.stop(&self.charge, failure.hint.retry_after);
            if let Some(pause) = pause {
                self.limiter.observer().tell(&Event::LimitClosed { target: self.target.as_ref(), pause });
            }
        }
    }

    fn usage(&self) -> Option<Usage> {
        self.stream.as_ref().and_then(StreamHandle::usage)
    }
}

impl<E> OnEnd<E> for Reservation {
    fn end(mut self, end: End<'_, E>) {
        let told = self.stream.as_ref().and_then(StreamHandle::end);
        if matches!(end, End::Complete) && matches!(told, None | Some(StreamEnd::Complete)) {
            self.fate = Fate::Whole;
        }
        if let Some(StreamEnd::Failed(failure)) = told {
            self.told_to_stop(&failure);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Nothing comes back that anybody could wait for.
        if !self.charge.awaits_end && self.fate != Fate::Unsent {
            return;
        }
        let (now, usage, charge) = (Instant::now(), self.usage(), &self.charge);
        self.limiter.correct(|books| {
            books.ended(charge);
            match (self.fate, usage) {
                (Fate::Unsent, _) => books.undo(now, charge),
                (Fate::Unanswered, _) => books.settle(now, charge, Cost::default()),
                (Fate::Whole, Some(usage)) => books.used(now, charge, &usage),
                (Fate::Sent, Some(usage)) => books.broke_off(now, charge, &usage),
                (Fate::Whole | Fate::Sent, None) => {}
            }
        });
    }
}

/// Whether the provider said no before it did any work, so far as one can tell. Where a time limit passed or an answer is garbage,
/// tokens may have been spent.
fn says_no(failure: &Failure) -> bool {
    use FailureKind as K;
    !matches!(failure.kind, K::Timeout(_) | K::Transport | K::StreamBroken | K::Malformed | K::ContentPolicy | K::Unknown)
}
