//! `cargo xtask bench [ARGS]`: hands its arguments on to the `lab` crate, which knows the benchmarks.

use crate::step::{Cargo, Failure, Steps};

pub(crate) fn run(steps: &mut Steps, arguments: &[String]) -> Result<(), Failure> {
    let cargo = Cargo::new("run --locked --release --package lab --").args(arguments.iter().map(String::as_str));
    steps.cargo("benchmarks", &cargo)
}
