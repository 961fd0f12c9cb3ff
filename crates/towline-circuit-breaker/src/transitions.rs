//! Being told when a circuit changes its state.

use std::{fmt, sync::OnceLock};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::Transition;

/// How many a reader may be behind before it misses the oldest.
const KEPT: usize = 256;

/// The transitions of all circuits of a layer, from the moment of the subscription on; made by
/// [`CircuitBreakerHandle::transitions`](crate::CircuitBreakerHandle::transitions).
pub struct Transitions(broadcast::Receiver<Transition>);

impl Transitions {
    /// The next transition; waits for it. `None` once the layer and all its services and handles are gone.
    ///
    /// A reader that is 256 behind misses the oldest: see [`state`](crate::CircuitBreakerHandle::state) for what is now. May be
    /// dropped at any time; nothing is lost.
    pub async fn next(&mut self) -> Option<Transition> {
        loop {
            match self.0.recv().await {
                Ok(transition) => return Some(transition),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl fmt::Debug for Transitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transitions").field("waiting", &self.0.len()).finish_non_exhaustive()
    }
}

/// Where transitions go; nowhere, until somebody has asked for them.
#[derive(Debug, Default)]
pub(crate) struct Feed(OnceLock<broadcast::Sender<Transition>>);

impl Feed {
    pub(crate) fn subscribe(&self) -> Transitions {
        Transitions(self.0.get_or_init(|| broadcast::Sender::new(KEPT)).subscribe())
    }

    pub(crate) fn tell(&self, transition: impl FnOnce() -> Transition) {
        if let Some(readers) = self.0.get() {
            // Nobody may be left to hear it.
            let _ = readers.send(transition());
        }
    }
}
