//! One body type and one service type, whatever stands beneath.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use towline_core::{BoxError, Error};

/// A response's body of whatever make: `Unpin`, `Send`, with one error type.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// A service of whatever make, for struct fields and for handlers' state.
pub type BoxService<B> = BoxCloneSyncService<Request<B>, Response<Body>, Error>;

/// Boxes a service and the bodies that it answers with, so that its type can be written down.
///
/// Costs an allocation for each call, one for its future and one for its body.
///
/// ```
/// # let client = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, towline::BoxError>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # });
/// struct App {
///     llm: towline::BoxService<http_body_util::Full<bytes::Bytes>>,
/// }
/// let app = App { llm: towline::boxed(client) };
/// # let _ = app.llm;
/// ```
pub fn boxed<S, B, R>(service: S) -> BoxService<B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let service =
        service.map_response(|response: Response<R>| response.map(|body| body.map_err(Error::from_body).boxed_unsync()));
    BoxCloneSyncService::new(service.map_err(|error: S::Error| Error::from(error.into())))
}
