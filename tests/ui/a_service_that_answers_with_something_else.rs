//! Layers for HTTP want a response of `http`.

use http::Request;
use tower::Layer;
use towline_tests::Body;

fn main() {
    let client = tower::service_fn(|_: Request<Body>| async { Ok::<_, towline::BoxError>("hello") });
    towline::for_body::<Body, _>(towline::ClassifyLayer::new().layer(client));
}
