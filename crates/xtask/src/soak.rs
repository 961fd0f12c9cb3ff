//! `cargo xtask soak [MINUTES]`: the gateway under 200 streams while a provider flaps, for longer than the tests do it.

use crate::step::{Cargo, Failure, Steps};

pub(crate) fn run(steps: &mut Steps, minutes: u32) -> Result<(), Failure> {
    let cargo = Cargo::new("test --locked --package gateway --test suite -- --nocapture soak");
    steps.cargo("soak", &cargo.env("TOWLINE_SOAK_SECONDS", (u64::from(minutes) * 60).to_string()))
}
