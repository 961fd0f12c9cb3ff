//! The watch over one exchange: its clock, and who is told.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Extensions, HeaderMap, header::CONTENT_TYPE};
use tokio::time::{Instant, Sleep, sleep_until};
use towline_core::{Call, Error, Event, Failure, FailureKind, Observer, Target};

use crate::limits::{Cut, Exchange, Limits};

/// Goes from the future to the body, with the timer.
pub(crate) struct Watch {
    limits: Limits,
    exchange: Exchange,
    observer: Observer,
    target: Option<Target>,
    /// Since when the body has given nothing.
    silent: Option<Instant>,
    /// Made when there is first something to wait for. Boxed, so that it can move into the body as it runs, and so that a body
    /// that is `Unpin` stays so.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Begins now.
    pub(crate) fn new(limits: Limits, observer: Observer, extensions: &Extensions) -> Self {
        let call = Call::of(extensions);
        let exchange = Exchange {
            began: Instant::now(),
            deadline: call.and_then(Call::deadline),
            stream: call.is_some_and(|call| call.facts().stream),
        };
        Self { limits, exchange, observer, target: extensions.get().cloned(), silent: None, timer: None }
    }

    pub(crate) fn is_past_deadline(&self) -> bool {
        self.exchange.deadline.is_some_and(|deadline| deadline <= self.exchange.began)
    }

    /// The head has come.
    pub(crate) fn saw_head(&mut self, headers: &HeaderMap) {
        self.exchange.stream |= announces_stream(headers);
    }

    /// The body gave something.
    pub(crate) const fn saw_frame(&mut self) {
        self.silent = None;
    }

    /// To be polled while the head is awaited. Ready when a limit has passed.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let cut = self.limits.on_head(&self.exchange);
        self.poll_cut(cut, Instant::now(), cx)
    }

    /// To be polled while the body gives nothing. Ready when a limit has passed.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let now = Instant::now();
        let silent = *self.silent.get_or_insert(now);
        let cut = self.limits.on_body(&self.exchange, silent);
        self.poll_cut(cut, now, cx)
    }

    /// The clock decides, the timer only wakes: one that was set for an earlier limit is left as it is until it fires, so that
    /// a frame costs no turn of the timer wheel, and a task that is out of its cooperative budget still learns the time.
    fn poll_cut(&mut self, cut: Option<Cut>, mut now: Instant, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(cut) = cut else { return Poll::Pending };
        while now < cut.at {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(cut.at)));
            if timer.is_elapsed() || timer.deadline() > cut.at {
                timer.as_mut().reset(cut.at);
            }
            ready!(timer.as_mut().poll(cx));
            now = Instant::now();
        }
        Poll::Ready(self.cut(cut))
    }

    fn cut(&self, cut: Cut) -> Error {
        self.observer.tell(&Event::TimedOut { target: self.target.as_ref(), phase: cut.phase, limit: cut.limit });
        let kind = if cut.deadline { FailureKind::DeadlineExceeded } else { FailureKind::Timeout(cut.phase) };
        Error::new(Failure::new(kind))
    }
}

/// Server-sent events, or Bedrock's framing of the same.
fn announces_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    [&b"text/event-stream"[..], b"application/vnd.amazon.eventstream"]
        .iter()
        .any(|stream| kind.get(..stream.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(stream)))
}
