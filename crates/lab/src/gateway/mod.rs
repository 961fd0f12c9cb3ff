//! `lab gateway`: what the gateway costs beside a bare axum reverse proxy, each in a process of its own, before one provider in a third.

mod client;
mod measure;
mod process;
mod provider;
mod proxy;
mod report;

use lab::BoxError;

/// Measures, and prints a table of what was aimed at and what came of it.
pub(crate) fn print() -> Result<(), BoxError> {
    runtime()?.block_on(report::print())
}

/// The provider's process.
pub(crate) fn provider() -> Result<(), BoxError> {
    runtime()?.block_on(provider::serve())
}

/// The bare proxy's process.
pub(crate) fn proxy(provider: &str) -> Result<(), BoxError> {
    runtime()?.block_on(proxy::serve(provider.parse()?))
}

/// Like that of `#[tokio::main]`, which the gateway has.
fn runtime() -> Result<tokio::runtime::Runtime, BoxError> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
