//! A time limit that costs nothing until there is something to wait for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// A time limit that starts, and allocates its timer, when it is first polled. Poll it where a body is `Pending`.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// Ready once the time is over; at once if there is none.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.limit.is_zero() {
            return Poll::Ready(());
        }
        self.sleep.get_or_insert_with(|| Box::pin(sleep(self.limit))).as_mut().poll(cx)
    }
}
