//! `cargo xtask test`: all that CI asks, cheapest first.

use crate::{
    doc, inputs, law, lint,
    step::{Cargo, Failure, Steps},
    workspace::{Package, Workspace},
};

/// Runs it all; `required` says whether the test data outside the repository must be there.
pub(crate) fn run(steps: &mut Steps, required: bool) -> Result<(), Failure> {
    inputs::run(steps, required)?;
    lint::format(steps)?;
    law::run(steps)?;
    lint::clippy(steps)?;
    alone(steps)?;
    steps.cargo("tests and doc tests", &Cargo::new("test --locked --workspace --all-features"))?;
    races(steps)?;
    doc::run(steps)
}

/// The breaker's hand-written atomics and the limiter's line under loom, which tries each order in which threads can meet. In a folder of its own, since its flag would have
/// everything else built anew; optimised, since the orders are many.
fn races(steps: &mut Steps) -> Result<(), Failure> {
    const OF: &str = "--package towline-circuit-breaker --package towline-rate-limit";
    let cargo = Cargo::new(&format!("test --locked {OF} --release --lib --target-dir target/loom races"));
    steps.cargo("races, by loom", &cargo.env("RUSTFLAGS", "--cfg towline_loom"))
}

/// Every published library by itself, so that none compiles by borrowing the features of a sibling; one that has features of
/// its own also without any and with each alone. Clippy rather than `check`: it can deny warnings without a second build of
/// all that stands beneath.
fn alone(steps: &mut Steps) -> Result<(), Failure> {
    let root = steps.root().to_owned();
    let workspace = steps.check("the list of crates", Workspace::QUESTION, || Workspace::read(&root))?;
    for package in workspace.published().filter(|package| package.library) {
        for features in feature_sets(package) {
            let cargo = Cargo::new("clippy --locked --package").args([package.name.as_str()]);
            let cargo = cargo.args(features.split_whitespace()).args(["--", "-D", "warnings"]);
            steps.cargo(&format!("{} alone", package.name), &cargo)?;
        }
    }
    Ok(())
}

/// The default features, then none, then each by itself.
fn feature_sets(package: &Package) -> Vec<String> {
    let mut sets = vec![String::new()];
    let own = package.features.iter().filter(|feature| *feature != "default");
    let each: Vec<String> = own.map(|feature| format!("--no-default-features --features {feature}")).collect();
    if !each.is_empty() {
        sets.push("--no-default-features".to_owned());
        sets.extend(each);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_features_is_checked_once() {
        assert_eq!(feature_sets(&Package::default()), [""]);
    }

    #[test]
    fn a_crate_with_features_is_checked_with_each_alone() {
        let package = Package { features: ["default", "retry", "axum"].map(str::to_owned).to_vec(), ..Package::default() };
        let each = ["--no-default-features --features retry", "--no-default-features --features axum"];
        assert_eq!(feature_sets(&package), ["", "--no-default-features", each[0], each[1]]);
    }
}
