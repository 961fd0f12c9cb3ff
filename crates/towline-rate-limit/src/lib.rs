//! Keeps calls within a provider's rate limit, first come first served.
//!
//! Being written.

mod bucket;
mod future;
mod handle;
mod layer;
mod limiter;
mod limits;
mod service;

pub use future::ResponseFuture;
pub use handle::RateLimitHandle;
pub use layer::RateLimitLayer;
pub use service::RateLimit;
