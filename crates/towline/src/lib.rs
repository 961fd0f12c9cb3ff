//! Being written.
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tracing")]
mod tracing;
#[cfg(feature = "tracing")]
pub use tracing::TracingObserver;
