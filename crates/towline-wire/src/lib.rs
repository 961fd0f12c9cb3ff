//! What LLM providers say on the wire, without I/O.

mod duration;
pub mod error;
pub mod eventstream;
pub mod facts;
mod lenient;
pub mod limits;
pub mod patch;
mod path;
pub mod sse;
pub mod stream;
