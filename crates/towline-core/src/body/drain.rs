//! Reading a body to its end for nothing but the end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body::Body;
use pin_project_lite::pin_project;

use super::{len, patience::Patience};

pin_project! {
    /// Reads a body to its end and drops what it reads, so that an HTTP/1.1 connection can be used again.
    ///
    /// It gives up, and drops the body, when more than [`DrainLimits::bytes`] would have to be read, by the body's own size hint
    /// or by count; when [`DrainLimits::time`] has passed; or when the body fails. An empty frame counts as one byte, so that an
    /// endless run of them ends too. The body is dropped before the future answers, whatever the answer.
    ///
    /// The time counts from the moment when the body first has nothing to give: a body that lies in memory costs no timer.
    /// Waiting needs a tokio runtime with its time enabled.
    ///
    /// **Cancellation:** dropping the future drops the body, which closes an HTTP/1.1 connection and resets an HTTP/2 stream.
    #[must_use = "futures do nothing unless polled"]
    pub struct Drain<B> {
        #[pin]
        body: Option<B>,
        left: u64,
        patience: Patience,
        // What is answered once the body is gone, were the future polled again.
        end: Drained,
    }
}

/// How much may be read, and waited, for the sake of a connection.
///
/// Defaults: 64 KiB and 50 ms, beyond which a new connection is the cheaper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainLimits {
    bytes: u64,
    time: Duration,
}

/// What became of a body that was drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drained {
    /// It was read to its end.
    Complete,
    /// It is longer than the limit.
    TooLong,
    /// It did not end within the time limit.
    TimedOut,
    /// It failed.
    Failed,
}

impl<B> Drain<B> {
    /// Drains `body` within `limits`.
    pub const fn new(body: B, limits: DrainLimits) -> Self {
        Self { body: Some(body), left: limits.bytes, patience: Patience::new(limits.time), end: Drained::Complete }
    }
}

impl<B: Body> Future for Drain<B> {
    type Output = Drained;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Drained> {
        let mut this = self.project();
        let end = loop {
            let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(*this.end) };
            if body.is_end_stream() {
                break Drained::Complete;
            }
            if body.size_hint().lower() > *this.left {
                break Drained::TooLong;
            }
            match body.poll_frame(cx) {
                Poll::Ready(None) => break Drained::Complete,
                Poll::Ready(Some(Err(_))) => break Drained::Failed,
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(data) = frame.data_ref() else { continue };
                    match this.left.checked_sub(len(data).max(1)) {
                        Some(left) => *this.left = left,
                        None => break Drained::TooLong,
                    }
                }
                Poll::Pending => match this.patience.poll_over(cx) {
                    Poll::Ready(()) => break Drained::TimedOut,
                    Poll::Pending => return Poll::Pending,
                },
            }
        };
        this.body.set(None);
        *this.end = end;
        Poll::Ready(end)
    }
}

impl<B> fmt::Debug for Drain<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.left).field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl DrainLimits {
    /// 64 KiB and 50 ms.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: 64 * 1024, time: Duration::from_millis(50) }
    }

    /// The most bytes to read. With 0 only a body that has already ended counts as complete.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// The longest time to wait in all. With zero only what is there already is read.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

impl Default for DrainLimits {
    fn default() -> Self {
        Self::new()
    }
}
