//! How an answer says that it is a substitute, and the queue that a call can be handed over to.

use std::pin::Pin;

use bytes::Bytes;
use http::{Extensions, HeaderName, Request, Response};
use towline_core::{BoxError, Failure};

/// Stands in the extensions of an answer that is a substitute for the one that nobody could give.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Degraded {
    /// It was given before, to the same request.
    Stale(Failure),
    /// The user's queue took the request over, and this is what it says.
    Queued(Failure),
    /// It was designed beforehand.
    Static(Failure),
}

/// The user's queue, for work that can wait.
pub trait Queue: Send + Sync + 'static {
    /// Takes a request over that failed like this, and answers its caller: with a 202 and a ticket, for instance.
    ///
    /// The request is the caller's own, credentials included. An error means that it was not taken.
    fn take_over(&self, request: Request<Bytes>, failure: &Failure) -> Handover;
}

/// What becomes of a request that is handed over. Dropped with the call.
pub type Handover = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// The header that says the same.
const HEADER: HeaderName = HeaderName::from_static("x-towline-degraded");

impl Degraded {
    /// How an answer is degraded; `None` if it is none.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Why there was no better answer.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        match self {
            Self::Stale(failure) | Self::Queued(failure) | Self::Static(failure) => failure,
        }
    }

    /// The word that stands in the header `x-towline-degraded`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::Queued(_) => "queued",
            Self::Static(_) => "static",
        }
    }

    pub(super) fn mark<R>(self, mut response: Response<R>) -> Response<R> {
        response.headers_mut().insert(HEADER, http::HeaderValue::from_static(self.name()));
        response.extensions_mut().insert(self);
        response
    }
}
