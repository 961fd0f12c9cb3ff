//! Compile errors near their cause.

use http::{Request, Response};
use tower_service::Service;

/// Returns `service` as it is, if it serves requests with a body of type `B`.
///
/// A stack that does not fit together fails to compile here, where the compiler names the layer and the missing
/// bound, rather than at the call, where it only says that some method's bounds were not satisfied.
///
/// ```
/// use http_body_util::Full;
/// # let client = tower::service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
/// #     Ok::<_, towline_core::BoxError>(http::Response::new(Full::<bytes::Bytes>::default()))
/// # });
/// let client = towline_core::for_body::<Full<bytes::Bytes>, _>(client);
/// ```
pub fn for_body<B, S>(service: S) -> S
where
    S: Service<Request<B>> + IsHttp<B>,
{
    service
}

/// A service that answers HTTP requests with HTTP responses. Implemented for each; it only carries the message of a compile error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no service for HTTP requests with a body of type `{B}`",
    note = "a `Service<http::Request<B>, Response = http::Response<R>>` is needed; `reqwest::Client` becomes one with `towline_reqwest::Reqwest`"
)]
pub trait IsHttp<B> {}

impl<S, B, R> IsHttp<B> for S where S: Service<Request<B>, Response = Response<R>> {}
