//! What LLM providers say on the wire, without I/O.

pub mod facts;
pub mod patch;
mod path;
