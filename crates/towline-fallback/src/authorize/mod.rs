//! Credentials for each attempt. The prose stands at [`AuthorizeLayer`](crate::AuthorizeLayer).

mod apply;
mod attempt;
mod explain;
mod future;
mod layer;
mod ring;
mod service;
mod tokens;

pub use future::AuthorizeFuture;
pub use layer::AuthorizeLayer;
pub use ring::{KeyState, KeysExhausted};
pub use service::AuthorizeService;
pub use tokens::Tokens;
