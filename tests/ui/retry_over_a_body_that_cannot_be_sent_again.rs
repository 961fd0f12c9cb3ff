//! axum's body cannot be cloned: without `CallLayer` above, nothing can be sent twice.

use http::{Request, Response};
use tower::Layer;

fn main() {
    let client = tower::service_fn(|_: Request<axum::body::Body>| async { Ok::<_, towline::BoxError>(Response::new(axum::body::Body::empty())) });
    towline::for_body::<axum::body::Body, _>(towline::RetryLayer::new().layer(client));
}
