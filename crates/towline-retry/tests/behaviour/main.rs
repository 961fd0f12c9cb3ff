//! How retries behave, through real requests and responses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod budget;
mod cancel;
mod connections;
mod deadline;
mod drain;
mod replay;
mod retry_after;
mod rules;
mod support;
mod trail;
mod types;
