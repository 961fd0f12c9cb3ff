//! The single things that a provider does on the wire.

use std::time::Duration;

use bytes::Bytes;

use crate::gate::Gate;

/// One thing that the provider does on the wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Writes bytes, in one write.
    Bytes(Bytes),
    /// Waits, by tokio's clock.
    Wait(Duration),
    /// Waits until the test opens the gate.
    Gate(Gate),
    /// Resets the connection (RST). What was written just before may be lost with it, as on any network; a [`Gate`] that the
    /// test opens when it has seen those bytes rules that out.
    Reset,
    /// Closes the connection in order (FIN).
    Close,
    /// Does nothing more, until the peer leaves or the provider is dropped.
    Hang,
}

impl Step {
    /// Whether nothing comes after this step.
    pub(crate) fn cuts(&self) -> bool {
        matches!(self, Self::Reset | Self::Close | Self::Hang)
    }
}
