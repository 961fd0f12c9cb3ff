//! Tools for bodies: send one again, empty one, notice its end, hand on what was read of one.
//!
//! | tool | what for |
//! |---|---|
//! | [`TryClone`] | asks a request body whether it can be sent again |
//! | [`ReplayBody`] | a request body that can (`full`, `tee`) or says that it cannot (`once`) |
//! | [`Drain`] | reads a failed response to its end, within limits, so that its connection can be used again |
//! | [`ReadUpTo`] | reads the beginning of a response, within limits, and keeps what it read |
//! | [`Held`] | a body that begins with frames that were read before |
//! | [`ObserveEnd`] | tells how a body ended, exactly once |
//!
//! Every wrapper forwards `poll_frame`, `size_hint` and `is_end_stream`, and asks of no body to be `Sync`. Their `Debug` shows
//! no content.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::BodyExt;
//! use towline_core::body::{ReplayBody, TryClone};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let kept: ReplayBody = ReplayBody::full(Bytes::from_static(b"{\"model\":\"m\"}"));
//! for _attempt in 0..2 {
//!     let sent = kept.try_clone().expect("a full body can always be sent again");
//!     assert_eq!(sent.collect().await.unwrap().to_bytes(), "{\"model\":\"m\"}");
//! }
//! # });
//! ```

use http_body::SizeHint;

mod drain;
mod held;
mod observe_end;
mod patience;
mod read_up_to;
mod replay;
mod tee;
mod try_clone;

pub use drain::{Drain, DrainLimits, Drained};
pub use held::Held;
pub use observe_end::{End, ObserveEnd, OnEnd};
pub use read_up_to::{ReadBody, ReadUpTo};
pub use replay::ReplayBody;
pub use tee::{ReplayInUse, ReplayLost};
pub use try_clone::TryClone;

/// `hint` and `more` bytes on top. Unlike `SizeHint`'s own addition it survives a peer that announces `u64::MAX` bytes.
fn plus(hint: SizeHint, more: u64) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(more));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(more)) {
        sum.set_upper(upper);
    }
    sum
}

/// How many bytes `data` still holds, in the unit of size hints.
fn len(data: &impl bytes::Buf) -> u64 {
    u64::try_from(data.remaining()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
