//! The stacks, by whose layers they have.

mod tower;
mod tower_resilience;
mod towline;

use crate::{BoxError, provider::Provider, stack::Stack};

/// All stacks whose name holds `filter`, and the bare ones: each over a service that is ready, and over one that is pending once.
///
/// # Errors
///
/// If a layer does not take its configuration.
pub fn stacks(filter: &str) -> Result<Vec<Stack>, BoxError> {
    let mut all = Vec::new();
    for pends in [false, true] {
        let provider = Provider::new(pends);
        all.push(Stack::new(Stack::BARE, &provider, provider.clone()));
        all.extend(towline::stacks(&provider)?);
        all.extend(tower::stacks(&provider));
        all.extend(tower_resilience::stacks(&provider)?);
    }
    all.retain(|stack| stack.name() == Stack::BARE || stack.name().contains(filter));
    Ok(all)
}
