//! A body that does what a script says, in process.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, counter::Counter, gate::Gate};

/// A body made of steps, for tests that need no socket.
///
/// It says of itself what a chunked stream says: the length is unknown, and the end is known only when it has come. Both can be
/// set. It is `Unpin`, `Send` and not `Sync`, as axum's body is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use http_body_util::BodyExt;
/// use towline_testkit::ScriptedBody;
///
/// let mut body = ScriptedBody::new().data("one").pending().data("two").error("cable cut");
/// let report = body.report();
/// assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
/// assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
/// assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "cable cut");
/// assert!(body.frame().await.is_none());
/// assert_eq!(report.polls(), 5);
/// drop(body);
/// assert!(report.is_dropped());
/// # }
/// ```
#[derive(Debug)]
pub struct ScriptedBody {
    steps: VecDeque<BodyStep>,
    size_hint: SizeHint,
    known_end: bool,
    life: Life,
}

/// What became of a [`ScriptedBody`]. Clones show the same.
#[derive(Clone, Debug)]
pub struct BodyReport(Arc<Shared>);

enum BodyStep {
    Frame(Frame<Bytes>),
    Error(BoxError),
    Pending,
    Hang,
    Wait(Duration),
    Gate(Gate),
    /// A wait or gate that has begun.
    Until(Pin<Box<dyn Future<Output = ()> + Send>>),
}

#[derive(Debug)]
struct Shared {
    polls: Counter,
    dropped: Counter,
    ended: AtomicBool,
}

/// Tells the report of the drop.
#[derive(Debug)]
struct Life(Arc<Shared>);

impl ScriptedBody {
    /// A body without steps: it ends at once.
    #[must_use]
    pub fn new() -> Self {
        let shared = Arc::new(Shared { polls: Counter::new(), dropped: Counter::new(), ended: AtomicBool::new(false) });
        Self { steps: VecDeque::new(), size_hint: SizeHint::new(), known_end: false, life: Life(shared) }
    }

    /// A frame of data.
    #[must_use]
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        self.step(BodyStep::Frame(Frame::data(data.into())))
    }

    /// A frame of trailers.
    #[must_use]
    pub fn trailers(self, trailers: HeaderMap) -> Self {
        self.step(BodyStep::Frame(Frame::trailers(trailers)))
    }

    /// An error. The steps behind it are still there for who polls on.
    #[must_use]
    pub fn error(self, error: impl Into<BoxError>) -> Self {
        self.step(BodyStep::Error(error.into()))
    }

    /// `Pending` once, having woken the task.
    #[must_use]
    pub fn pending(self) -> Self {
        self.step(BodyStep::Pending)
    }

    /// `Pending` for ever, without a wake.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(BodyStep::Hang)
    }

    /// A wait by tokio's clock, from the poll on that comes to it.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        self.step(BodyStep::Wait(wait))
    }

    /// A wait until the test opens the gate.
    #[must_use]
    pub fn gate(self, gate: &Gate) -> Self {
        self.step(BodyStep::Gate(gate.clone()))
    }

    /// What `size_hint` says to begin with. Data that has gone out is subtracted.
    #[must_use]
    pub fn with_size_hint(mut self, hint: SizeHint) -> Self {
        self.size_hint = hint;
        self
    }

    /// Says exactly `length` bytes, as a `content-length` would; the script may hold to it or not.
    #[must_use]
    pub fn with_length(self, length: u64) -> Self {
        self.with_size_hint(SizeHint::with_exact(length))
    }

    /// Makes `is_end_stream` true once no step is left, without waiting for the poll that finds out.
    #[must_use]
    pub fn with_known_end(mut self) -> Self {
        self.known_end = true;
        self
    }

    /// A view of what becomes of this body.
    #[must_use]
    pub fn report(&self) -> BodyReport {
        BodyReport(Arc::clone(&self.life.0))
    }

    fn step(mut self, step: BodyStep) -> Self {
        self.steps.push_back(step);
        self
    }
}

impl Default for ScriptedBody {
    fn default() -> Self {
        Self::new()
    }
}

impl BodyReport {
    /// How often the body was polled for a frame.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.0.polls.get()
    }

    /// Whether a poll has found the end.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// Whether the body was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.0.dropped.get() > 0
    }

    /// Waits until the body is dropped.
    pub async fn dropped(&self) {
        self.0.dropped.reached(1).await;
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.life.0.polls.add();
        loop {
            match self.steps.pop_front() {
                None => {
                    self.life.0.ended.store(true, Ordering::Release);
                    return Poll::Ready(None);
                }
                Some(BodyStep::Frame(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.size_hint = shrunk(&self.size_hint, data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(BodyStep::Error(error)) => return Poll::Ready(Some(Err(error))),
                Some(BodyStep::Pending) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(BodyStep::Hang) => {
                    self.steps.push_front(BodyStep::Hang);
                    return Poll::Pending;
                }
                Some(BodyStep::Wait(wait)) => self.steps.push_front(BodyStep::Until(Box::pin(tokio::time::sleep(wait)))),
                Some(BodyStep::Gate(gate)) => {
                    self.steps.push_front(BodyStep::Until(Box::pin(async move { gate.pass().await })));
                }
                Some(BodyStep::Until(mut event)) => {
                    if event.as_mut().poll(cx).is_pending() {
                        self.steps.push_front(BodyStep::Until(event));
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.known_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        shrunk(&self.size_hint, 0)
    }
}

impl fmt::Debug for BodyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame(frame) if frame.is_data() => "data",
            Self::Frame(_) => "trailers",
            Self::Error(_) => "error",
            Self::Pending => "pending",
            Self::Hang => "hang",
            Self::Wait(_) => "wait",
            Self::Gate(_) => "gate",
            Self::Until(_) => "until",
        })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.dropped.add();
    }
}

fn shrunk(hint: &SizeHint, by: u64) -> SizeHint {
    let mut less = SizeHint::new();
    if let Some(upper) = hint.upper() {
        less.set_upper(upper.saturating_sub(by));
    }
    less.set_lower(hint.lower().saturating_sub(by));
    less
}
