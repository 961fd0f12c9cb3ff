//! What a call through each layer costs when nothing goes wrong, beside tower and tower-resilience.
//!
//! Every [`Stack`] stands over the same service that does nothing, and is driven in the same way: the caller copies a request with 12
//! headers and 512 bytes, calls, and reads the answer, 1 KiB of JSON, to its end. What a stack costs is what its row has above the row
//! without a layer, which does this too.
//!
//! - [`stacks`] makes them, [`Stack::run`] calls one some thousand times;
//! - the bench `allocations` and the test `counts` count what is allocated meanwhile;
//! - [`Rival`] is a breaker over the smallest call there is, where it is the breaker alone that is asked about;
//! - the program `lab` counts instructions, takes the time, and prints tables (`cargo xtask bench`).

mod breaker;
mod provider;
mod stack;
mod stacks;

pub use breaker::Rival;
pub use provider::{completion, question};
pub use stack::Stack;
pub use stacks::stacks;

/// Any error at all.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What one call adds to a count that also has a beginning and an end: the difference of two runs, `[few, many]` calls long.
#[must_use]
pub fn per_call(calls: [u64; 2], counted: [u64; 2]) -> f64 {
    let [calls, counted] = [calls, counted].map(|[few, many]| many.saturating_sub(few) as f64);
    counted / calls
}
