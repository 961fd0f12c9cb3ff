//! What a breaker costs by itself: a call that is as small as a call can be, through a closed circuit of ours and of tower-resilience's.
//!
//! The call is the same for all: an empty request, a service that answers `{}` at once, and a body that is read to its end. Nothing else is in the
//! figures, so that they tell of breakers and not of headers.

mod call;
mod rivals;
mod tasks;

pub use rivals::Rival;
