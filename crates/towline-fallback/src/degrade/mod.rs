//! What to answer when nobody could. The prose stands at [`DegradeLayer`](crate::DegradeLayer).

mod answer;
mod asked;
mod body;
mod cache;
mod canonical;
mod explain;
mod future;
mod layer;
mod mark;
mod service;

pub use body::DegradeBody;
pub use cache::Cache;
pub use future::DegradeFuture;
pub use layer::DegradeLayer;
pub use mark::{Degraded, Handover, Queue};
pub use service::Degrade;
