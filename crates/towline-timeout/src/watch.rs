//! The watch over one exchange: its clock, and who is told.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, HeaderMap, header::CONTENT_TYPE, response::Response};
use tokio::time::{Instant, Sleep, sleep_until};
use towline_core::{Call, Error, Event, Failure, FailureKind, StreamHandle, Target};

use crate::{
    layer::Config,
    limits::{Cut, Exchange, Limits},
    pace::{Pace, Source},
};

/// Goes from the future to the body, with the timer. Responses are moved often, and this with them, so what is the same for all requests is not
/// in it.
pub(crate) struct Watch {
    config: Arc<Config>,
    /// The limits of this exchange, where they are not the layer's.
    own: Option<Box<Limits>>,
    began: Instant,
    call: Option<Call>,
    target: Option<Target>,
    pace: Pace,
    is_stream: bool,
    /// Made when there is first something to wait for. Boxed, so that it can move into the body as it runs, and so that a body
    /// that is `Unpin` stays so.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Begins now.
    pub(crate) fn new(config: &Arc<Config>, extensions: &Extensions) -> Self {
        let (call, target) = (Call::of(extensions).cloned(), Target::of(extensions).cloned());
        let is_stream = call.as_ref().is_some_and(|call| call.facts().stream);
        let own = config.own_limits(call.as_ref().map(Call::facts), target.as_ref());
        let config = Arc::clone(config);
        Self { config, own, began: Instant::now(), call, target, pace: Pace::default(), is_stream, timer: None }
    }

    pub(crate) fn is_past_deadline(&self) -> bool {
        self.exchange().deadline.is_some_and(|deadline| deadline <= self.began)
    }

    fn exchange(&self) -> Exchange {
        let kept = self.call.as_ref().filter(|_| !self.config.ignores_deadline);
        Exchange { began: self.began, deadline: kept.and_then(Call::deadline), stream: self.is_stream }
    }

    fn limits(&self) -> &Limits {
        self.own.as_deref().unwrap_or(&self.config.limits)
    }

    /// The head has come.
    pub(crate) fn saw_head<R>(&mut self, response: &Response<R>) {
        let announced = announces_stream(response.headers());
        self.is_stream |= announced;
        if self.is_stream && self.limits().know_streams() {
            // There may be a handle for a document too, which never tells of content.
            let handle = StreamHandle::of(response.extensions()).filter(|_| announced).cloned();
            let facts = self.call.as_ref().map(Call::facts);
            let expected = facts.is_some_and(|facts| facts.stream && facts.dialect.is_some());
            let began = self.began;
            let source = Source { handle, expected, seen: 0 };
            self.pace = Pace::stream(source, || Instant::now().saturating_duration_since(began));
        }
    }

    /// The body gave something.
    pub(crate) fn saw_frame(&mut self, bytes: usize) {
        let floor = self.limits().floor;
        self.pace.saw_frame(bytes, floor, Instant::now);
    }

    /// To be polled while the head is awaited. Ready when a limit has passed.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let cut = self.limits().on_head(&self.exchange());
        // Until there is a timer nobody has waited, so that the time need not be asked for.
        let now = if self.timer.is_some() { Instant::now() } else { self.began };
        self.poll_cut(cut, now, cx)
    }

    /// To be polled while the body gives nothing. Ready when a limit has passed.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let now = Instant::now();
        let waits = self.pace.waits(now);
        let cut = self.limits().on_body(&self.exchange(), &waits);
        self.poll_cut(cut, now, cx)
    }

    /// The clock decides, the timer only wakes: one that was set for an earlier limit is left as it is until it fires, so that
    /// a frame costs no turn of the timer wheel, and a task that is out of its cooperative budget still learns the time.
    fn poll_cut(&mut self, cut: Option<Cut>, mut now: Instant, cx: &mut Context<'_>) -> Poll<Cut> {
        let Some(cut) = cut else { return Poll::Pending };
        while now < cut.at {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(cut.at)));
            if timer.is_elapsed() || timer.deadline() > cut.at {
                timer.as_mut().reset(cut.at);
            }
            ready!(timer.as_mut().poll(cx));
            now = Instant::now();
        }
        Poll::Ready(cut)
    }

    /// Drops what is under way, and says why. Whoever is dropped beneath can ask the call whether this was the caller's leave;
    /// of a deadline it knows by itself.
    pub(crate) fn cut_off(&self, cut: &Cut, drop_it: impl FnOnce()) -> Error {
        self.config.observer.tell(&Event::TimedOut { target: self.target.as_ref(), phase: cut.phase, limit: cut.limit });
        match &self.call {
            Some(call) if !cut.deadline => call.cut_off(cut.limit, Instant::now(), drop_it),
            _ => drop_it(),
        }
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
