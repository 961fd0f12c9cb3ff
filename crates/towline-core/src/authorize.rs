//! What an attempt shows to be let in, found out anew for each attempt.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use crate::{BoxError, Credential, Failure};

/// Finds out what an attempt shows to be let in: a token that expires, a signature.
///
/// A key that never changes needs none of this; it is a [`Credential`] of its [`Target`](crate::Target). An authorizer belongs to a
/// target too ([`Target::with_authorizer`](crate::Target::with_authorizer)) and is asked by `AuthorizeLayer`, right before each attempt
/// is sent, retries included.
///
/// ```
/// use towline_core::{Authorize, Authorized, Credential, Unsigned};
///
/// /// Signs what is sent.
/// struct Signature(&'static str);
///
/// impl Authorize for Signature {
///     fn authorize(&self, attempt: &Unsigned<'_>) -> Authorized {
///         let body = attempt.body().unwrap_or_default();
///         let signed = format!("{} {} {} {}", self.0, attempt.method, attempt.uri.path(), body.len());
///         Authorized::Now(Credential::header("x-signature", signed).map(|credential| vec![credential]).map_err(Into::into))
///     }
/// }
/// ```
pub trait Authorize: Send + Sync + 'static {
    /// The credentials for this attempt; at once, or after a wait.
    fn authorize(&self, attempt: &Unsigned<'_>) -> Authorized;

    /// The target did not accept what it was shown. `true` if the next answer will be another one, so that it is worth asking once more;
    /// whoever keeps a token drops it here. Default: `false`.
    fn rejected(&self, failure: &Failure) -> bool {
        let _ = failure;
        false
    }
}

/// What an authorizer found out, or will.
pub enum Authorized {
    /// It is known already.
    Now(Result<Vec<Credential>, BoxError>),
    /// It has to be asked for. Dropped with the attempt.
    Later(Pin<Box<dyn Future<Output = Result<Vec<Credential>, BoxError>> + Send>>),
}

/// A request as it is about to be sent, without its credentials.
#[non_exhaustive]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI, of this target.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    body: &'a dyn Fn() -> Option<Bytes>,
}

impl<'a> Unsigned<'a> {
    /// A request, with `body` to be asked for its body.
    #[must_use]
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, body: &'a dyn Fn() -> Option<Bytes>) -> Self {
        Self { method, uri, headers, body }
    }

    /// The body, if all of it lies in memory.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        (self.body)()
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(Ok(_)) => "Authorized::Now",
            Self::Now(Err(_)) => "Authorized::Now(failed)",
            Self::Later(_) => "Authorized::Later",
        })
    }
}

impl fmt::Debug for Unsigned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsigned").field("method", self.method).field("path", &self.uri.path()).finish_non_exhaustive()
    }
}
