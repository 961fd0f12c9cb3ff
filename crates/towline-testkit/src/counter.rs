//! A number that grows and that a test can wait for.

use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Counter(watch::Sender<usize>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn add(&self) {
        self.0.send_modify(|n| *n = n.saturating_add(1));
    }

    pub(crate) fn get(&self) -> usize {
        *self.0.borrow()
    }

    pub(crate) async fn reached(&self, n: usize) {
        // The sender lives as long as `self`, so the only way out is the number.
        let _ = self.0.subscribe().wait_for(|&now| now >= n).await;
    }
}
