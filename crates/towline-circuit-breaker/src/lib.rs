//! A circuit breaker for calls to LLM providers.

mod body;
mod breaker;
mod circuit;
mod future;
mod handle;
mod layer;
mod permit;
mod policy;
mod rules;
mod service;
mod verdict;
mod window;
mod word;

pub use body::GuardedBody;
pub use future::ResponseFuture;
pub use handle::{CircuitBreakerHandle, CircuitState};
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreaker;
pub use verdict::Verdict;
