//! The gateway from outside: the built program, simulated providers, real sockets.
//!
//! Real time passes here, since nobody can hold the clock of another process. So the files that the gateway reads set short time limits, tests
//! wait for events and never for a while, and those that must wait for a limit do so side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod contract;
mod drain;
mod faults;
mod hostile;
mod soak;
mod support;
