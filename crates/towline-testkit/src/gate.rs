//! An event that a test opens, to put things in order without sleeping.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::counter::Counter;

/// A barrier in a [`Reply`](crate::Reply) or a [`ScriptedBody`](crate::ScriptedBody): whoever comes to it waits until the
/// test opens it, and the test can wait until somebody has come.
///
/// Clones are the same gate. Once open it stays open.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    open: watch::Sender<bool>,
    arrived: Counter,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner { open: watch::Sender::new(false), arrived: Counter::new() }))
    }

    /// Opens the gate for all who wait and all who come later.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Whether the gate is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.0.open.borrow()
    }

    /// How many have come to the gate so far, those that passed included.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.0.arrived.get()
    }

    /// Waits until `n` have come to the gate in all: the event "the provider has got this far".
    pub async fn reached(&self, n: usize) {
        self.0.arrived.reached(n).await;
    }

    /// Comes to the gate and passes once it is open.
    pub async fn pass(&self) {
        self.0.arrived.add();
        // The sender lives as long as `self`, so the only way out is the opening.
        let _ = self.0.open.subscribe().wait_for(|open| *open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("open", &self.is_open()).field("arrivals", &self.arrivals()).finish()
    }
}
