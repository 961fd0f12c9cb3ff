//! Stacks that do not fit together fail to compile with a message that names the cause.

use std::process::Command;

/// The release whose messages `ui/*.stderr` hold: other releases word them differently.
const RELEASE: &str = "rustc 1.95.";

#[test]
fn wrong_stacks_fail_to_compile_and_the_message_names_the_cause() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap();
    if !version.starts_with(RELEASE) && std::env::var_os("CI").is_none() {
        println!("DID NOT RUN: the expected messages are those of {RELEASE}x, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
