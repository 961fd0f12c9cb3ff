//! `cargo xtask lint`: what can be said without running anything.

use crate::{
    law,
    step::{Cargo, Failure, Steps},
};

pub(crate) fn run(steps: &mut Steps) -> Result<(), Failure> {
    format(steps)?;
    law::run(steps)?;
    clippy(steps)?;
    deny(steps)
}

pub(crate) fn format(steps: &mut Steps) -> Result<(), Failure> {
    steps.cargo("format", &Cargo::new("fmt --all --check"))
}

pub(crate) fn clippy(steps: &mut Steps) -> Result<(), Failure> {
    steps.cargo("clippy", &Cargo::new("clippy --locked --workspace --all-targets --all-features -- -D warnings"))
}

/// Advisories, bans, licences and sources, which a machine without cargo-deny cannot ask for.
fn deny(steps: &mut Steps) -> Result<(), Failure> {
    if Cargo::new("deny --version").output(steps.root()).is_err() {
        steps.note("cargo-deny is not installed: `cargo deny check` did not run");
        return Ok(());
    }
    steps.cargo("cargo-deny", &Cargo::new("deny --locked check"))
}
