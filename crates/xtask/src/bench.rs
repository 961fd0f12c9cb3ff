//! `cargo xtask bench [ARGS]`: hands its arguments on to the `lab` crate, which knows the benchmarks; `providers` plays the limiter's
//! scenes, whose clock is moved, as nothing that is timed may be.

use crate::step::{Cargo, Failure, Steps};

pub(crate) fn run(steps: &mut Steps, arguments: &[String]) -> Result<(), Failure> {
    if arguments == ["providers"] {
        let cargo = Cargo::new("bench --locked --package towline-rate-limit --bench providers");
        return steps.cargo("limiters at simulated providers", &cargo);
    }
    if arguments.first().is_some_and(|first| first == "gateway") {
        // A program of its own, which the lab finds beside itself.
        steps.cargo("the gateway", &Cargo::new("build --locked --release --package gateway"))?;
    }
    let cargo = Cargo::new("run --locked --release --package lab --").args(arguments.iter().map(String::as_str));
    steps.cargo("benchmarks", &cargo)
}
