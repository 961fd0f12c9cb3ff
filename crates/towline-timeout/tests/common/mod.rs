//! A body that keeps its own pace, and whoever notices that something was dropped.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};
use towline_core::{BoxError, Event, FailureKind, Observe, Phase};

pub(crate) type Request = http::Request<()>;
pub(crate) type Response<R> = http::Response<R>;

/// One byte after each pause, then the end.
pub(crate) struct Paced {
    pauses: VecDeque<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
    pub(crate) polls: Arc<AtomicUsize>,
    pub(crate) alive: Arc<()>,
}

impl Paced {
    pub(crate) fn new(pauses: impl IntoIterator<Item = Duration>) -> Self {
        Self { pauses: pauses.into_iter().collect(), pause: None, polls: Arc::default(), alive: Arc::default() }
    }

    pub(crate) fn each(pause: Duration, bytes: usize) -> Self {
        Self::new(std::iter::repeat_n(pause, bytes))
    }

    pub(crate) fn silent() -> Self {
        Self::each(Duration::from_secs(1_000_000), 1)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let Some(&next) = self.pauses.front() else { return Poll::Ready(None) };
        if !next.is_zero() {
            ready!(self.pause.get_or_insert_with(|| Box::pin(sleep(next))).as_mut().poll(cx));
        }
        self.pause = None;
        self.pauses.pop_front();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }

    fn is_end_stream(&self) -> bool {
        self.pauses.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pauses.len() as u64)
    }
}

/// A listener that notes which limits passed, and for whom.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<(Option<String>, Phase, Duration)>>);

impl Observe for Heard {
    fn observe(&self, event: &Event<'_>) {
        if let Event::TimedOut { target, phase, limit } = event {
            self.0.lock().push((target.map(|t| t.name().to_owned()), *phase, *limit));
        }
    }
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const TIMEOUT_HEAD: FailureKind = FailureKind::Timeout(Phase::Head);
pub(crate) const TIMEOUT_IDLE: FailureKind = FailureKind::Timeout(Phase::Idle);
pub(crate) const TIMEOUT_TOTAL: FailureKind = FailureKind::Timeout(Phase::Total);

/// Reads to the end: how many bytes came, and how it ended.
pub(crate) async fn read<B: Body<Data = Bytes, Error = towline_core::Error>>(body: B) -> (usize, Result<(), FailureKind>) {
    use http_body_util::BodyExt;
    let mut body = std::pin::pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return (bytes, Err(error.kind())),
        }
    }
    (bytes, Ok(()))
}
