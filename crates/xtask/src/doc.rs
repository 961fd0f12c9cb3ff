//! `cargo xtask doc`: the documentation, with warnings denied.

use crate::step::{Cargo, Failure, Steps};

pub(crate) fn run(steps: &mut Steps) -> Result<(), Failure> {
    let cargo = Cargo::new("doc --locked --workspace --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings");
    steps.cargo("documentation", &cargo)
}
