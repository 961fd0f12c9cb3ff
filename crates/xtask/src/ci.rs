//! `cargo xtask ci`: `test`, where none of its inputs may be missing.

use std::env;

use crate::{
    step::{Failure, Steps},
    test,
};

pub(crate) fn run(steps: &mut Steps) -> Result<(), Failure> {
    test::run(steps, true)
}

/// Whether the environment says that this is continuous integration.
pub(crate) fn is_here() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
