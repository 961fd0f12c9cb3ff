//! A layer that injects failures.

mod body;
mod future;
mod handle;
mod injection;
mod layer;
mod rule;
mod service;

pub use body::ChaosBody;
pub use future::ResponseFuture as ChaosFuture;
pub use handle::{ChaosCounts, ChaosHandle};
pub use injection::Injection;
pub use layer::ChaosLayer;
pub use service::Chaos;
