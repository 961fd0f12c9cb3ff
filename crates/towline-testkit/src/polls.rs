//! Counting the polls of a future.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::counter::Counter;

/// How often a future was polled. Clones show the same count.
#[derive(Clone, Debug)]
pub struct PollCount(Arc<Counter>);

pin_project! {
    /// A future whose polls are counted; see [`counted`].
    #[derive(Debug)]
    pub struct Counted<F> {
        #[pin]
        inner: F,
        polls: Arc<Counter>,
    }
}

/// Counts the polls of a future, to find one that wakes itself while it has nothing to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
///
/// let (sleep, polls) = towline_testkit::counted(tokio::time::sleep(Duration::from_secs(60)));
/// sleep.await;
/// assert_eq!(polls.get(), 2, "once to begin, once when woken");
/// # }
/// ```
pub fn counted<F>(future: F) -> (Counted<F>, PollCount) {
    let polls = Arc::new(Counter::new());
    (Counted { inner: future, polls: Arc::clone(&polls) }, PollCount(polls))
}

impl PollCount {
    /// The polls so far.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.get()
    }

    /// Waits until there were `n` polls in all.
    pub async fn reached(&self, n: usize) {
        self.0.reached(n).await;
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.polls.add();
        this.inner.poll(cx)
    }
}
