//! What each layer means above and beneath each other one: attempts, permits, circuits, and what the caller sees.
//!
//! There is a module for each outer layer and a test in it for each inner one; `crates/towline/docs/composition.md` is the table
//! of them. Whatever is sent reaches a scripted provider in the same process behind a contract probe, in paused time.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and its modules are its own"
)]

#[path = "composition/breaker_over.rs"]
mod breaker_over;
#[path = "composition/call_over.rs"]
mod call_over;
#[path = "composition/classify_over.rs"]
mod classify_over;
#[path = "composition/drops.rs"]
mod drops;
#[path = "composition/fallback_over.rs"]
mod fallback_over;
#[path = "composition/limiter_over.rs"]
mod limiter_over;
#[path = "composition/provider.rs"]
mod provider;
#[path = "composition/retry_over.rs"]
mod retry_over;
#[path = "composition/routes.rs"]
mod routes;
#[path = "composition/stack.rs"]
mod stack;
#[path = "composition/support.rs"]
mod support;
#[path = "composition/table.rs"]
mod table;
#[path = "composition/timeout_over.rs"]
mod timeout_over;
