//! A paused clock that stands still until it is told to move.

use std::{convert::Infallible, fmt, pin::pin, sync::mpsc, time::Duration};

use tokio::task::{spawn_blocking, yield_now};

/// Holds tokio's paused clock, for tests over real sockets whose time must move.
///
/// Under `#[tokio::test(start_paused = true)]` the clock leaps to the next timer whenever the runtime has nothing to do. A
/// runtime that waits for a socket has nothing to do, so every time limit fires while the answer is still on its way through
/// the kernel. While a `HeldClock` lives the clock stands still, and moves by [`advance`](Self::advance) alone.
///
/// The way to use it is to advance when an event says that the wait has begun:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream, time::timeout};
/// use towline_testkit::{HeldClock, MockProvider, Reply};
///
/// let clock = HeldClock::hold();
/// let provider = MockProvider::start_with([Reply::silence()]).await?;
/// let call = tokio::spawn({
///     let address = provider.address();
///     async move {
///         let mut stream = TcpStream::connect(address).await?;
///         stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
///         Ok::<_, std::io::Error>(timeout(Duration::from_secs(30), stream.read_u8()).await.is_err())
///     }
/// });
/// provider.received(1).await; // the event: from here on the call can only wait
/// clock.advance(Duration::from_secs(30)).await;
/// assert!(call.await??, "the call has timed out, half a minute later and at once");
/// # Ok(())
/// # }
/// ```
///
/// Events are [`MockProvider::received`](crate::MockProvider::received), [`Gate::reached`](crate::Gate::reached), an observer's
/// call, or any other condition with [`until`]. That a timer was set is not an event that the wire can show: if the code under
/// test sets its timer after the request has left (and not before, as time limits do), wait for what it does then.
///
/// # How
///
/// tokio does not leap while a task of `spawn_blocking` runs on a `current_thread` runtime; this type parks one. On dropping it
/// the clock leaps again, at the latest when that thread has ended. Several may be held at once.
pub struct HeldClock {
    /// Nothing is ever sent: the parked thread wakes when this is dropped.
    _release: mpsc::Sender<Infallible>,
}

impl HeldClock {
    /// Holds the clock from now on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use = "the clock is held for as long as this value lives"]
    pub fn hold() -> Self {
        let (release, parked) = mpsc::channel::<Infallible>();
        spawn_blocking(move || parked.recv().is_err());
        Self { _release: release }
    }

    /// Moves the clock by `by` in one leap, and gives a turn to the tasks whose timers have come.
    ///
    /// A task that sleeps twice needs two leaps: it begins its second sleep when it wakes from the first, and by then the whole
    /// leap is over. tokio's timers count whole milliseconds and fire on the next one, so use whole milliseconds. Where dozens of
    /// tasks wake at once, or one wakes another, wait for the event that shows that all are done before the next leap.
    ///
    /// # Panics
    ///
    /// If the clock is not paused: the test lacks `start_paused = true`.
    pub async fn advance(&self, by: Duration) {
        // tokio yields once, in which the timers fire. A test's own future is polled before the tasks that they wake.
        tokio::time::advance(by).await;
        yield_now().await;
    }

    /// Lets time pass until `future` is done: `step` of it for every 64 turns of the runtime.
    ///
    /// This is for tests with many waits, where no event tells of each: a stack that retries, backs off and falls back. Bytes on
    /// loopback arrive within a few turns, so they take next to no time, but how many turns is up to the machine: choose steps
    /// that are short beside the limits under test, and assert bounds rather than instants.
    ///
    /// # Panics
    ///
    /// If the clock is not paused: the test lacks `start_paused = true`.
    pub async fn drive<F: Future>(&self, step: Duration, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                output = &mut future => return output,
                () = self.settle(64) => self.advance(step).await,
            }
        }
    }

    /// Gives the runtime `turns` turns: in each, all tasks that can run do, and the sockets are asked once.
    ///
    /// This is for asserting that something did **not** happen, where no event can be waited for. It promises nothing about bytes
    /// that are still in the kernel or about other threads: a settled test may miss an offence, and never sees one that did
    /// not happen.
    pub async fn settle(&self, turns: usize) {
        for _ in 0..turns {
            yield_now().await;
        }
    }
}

impl fmt::Debug for HeldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldClock").finish_non_exhaustive()
    }
}

/// Gives turns to the runtime until `condition` holds: an event for what has none. Waits for ever if it never holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        yield_now().await;
    }
}
