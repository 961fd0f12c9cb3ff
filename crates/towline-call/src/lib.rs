//! The edge where a request becomes a call.
//!
//! What a caller asks for once may take several attempts at several targets. [`CallLayer`] makes the one thing out of the request
//! that all of them share: a body that can be sent any number of times, the facts that decide where it may go, and a
//! deadline that all attempts together must keep. The layers beneath find it as [`Call`](towline_core::Call) in the request's extensions.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use std::time::Duration;
//! use towline_call::CallLayer;
//! use towline_core::Call;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let client = ServiceBuilder::new()
//!     .layer(CallLayer::new().deadline(Duration::from_secs(60))?)
//!     .service_fn(|request: Request<Full<Bytes>>| async move {
//!         let call = Call::of(request.extensions()).expect("CallLayer stands above");
//!         assert_eq!(call.facts().model.as_deref(), Some("gpt-5"));
//!         Ok::<_, towline_core::BoxError>(Response::new(()))
//!     });
//!
//! // Any body will do, such as the one that an axum handler gets.
//! let body = axum::body::Body::from(r#"{"model":"gpt-5","messages":[]}"#);
//! let request = Request::post("http://host/v1/chat/completions").body(body)?;
//! let response = client.oneshot(request).await?;
//! assert!(Call::of(response.extensions()).is_some());
//! # Ok::<_, towline_core::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! # What happens, in order
//!
//! 1. A deadline that has passed already is refused: `DeadlineExceeded`.
//! 2. The body is read to its end. One that announces more than [`max_body`](CallLayer::max_body) is refused before a byte is read, one
//!    that turns out to be longer as soon as it is: `PayloadTooLarge`, of the caller. One that breaks is `InvalidRequest`, of the
//!    caller, with its error as source. A body in a single frame of `Bytes` is not copied. Trailers are dropped.
//! 3. `accept-encoding` becomes `identity`: what comes back must be read to be classified, and tokens are no burden to a line.
//!    `transfer-encoding`, `trailer` and a `content-length` that is not the body's are removed; each client then writes the right ones.
//! 4. The facts are read ([`towline_wire::facts::read`]). Of a body that is not JSON less is known, and that is no error.
//! 5. The `Call` goes into the request's extensions, the service beneath is readied, then called.
//! 6. The `Call` goes into the response's extensions, or to the error ([`Error::call`](towline_core::Error::call)). What is refused before
//!    step 4 carries none.
//!
//! A request that has a `Call` already, from a `CallLayer` further out, stays part of it: its facts and its trail are kept, and the
//! earlier of both deadlines counts.
//!
//! # Defaults
//!
//! | | |
//! |---|---|
//! | [`max_body`](CallLayer::max_body) | 32 MiB |
//! | [`count_tokens`](CallLayer::count_tokens) of a text | 1.1 for each four bytes |
//! | [`deadline`](CallLayer::deadline) | 600 s from the call of this service |
//! | [`stream_deadline`](CallLayer::stream_deadline), where the request asks for a stream | 3600 s |
//!
//! The deadline bounds all of it until the head of the response is there, the reading of the caller's body included (by `deadline`,
//! since nobody knows yet whether it asks for a stream). With [`without_deadline`](CallLayer::without_deadline) there is none.
//!
//! # What it does not do
//!
//! - The body of the answer is handed on as it is. That it keeps the deadline is the business of a `TimeoutLayer` beneath.
//! - It does not judge the request. A provider does.
//! - It looks at the time where it waits: a body whose frames are all there is read whatever the time.
//!
//! # Errors
//!
//! [`towline_core::Error`]: a refusal of the steps above, or what came from beneath, as it was.
//!
//! # Cost
//!
//! Eight allocations where nothing has extensions yet: the handle, the body while it is read, and three each for the extensions of the request and of
//! the response.
//! One more for the model's name, and one or two where a body comes in several frames. No timer until there is something to
//! wait for, and no allocation for it. Waiting needs a tokio runtime with its time enabled.
//!
//! # Cancellation
//!
//! Dropping the future drops the caller's body, or the service beneath with its readiness, or its future. Nothing else is held.
//!
//! # Its place in a stack
//!
//! Outermost. What stands above it works with the caller's body, which can be sent only once, and knows neither facts nor deadline.
//! The service beneath sees `Request<Full<Bytes>>`. It must be `Clone`, since this layer is always ready: a service that is busy is
//! waited for in the call, within the deadline.

mod begin;
mod collect;
mod explain;
mod future;
mod layer;
mod service;

pub use future::CallFuture;
pub use layer::CallLayer;
pub use service::CallService;
