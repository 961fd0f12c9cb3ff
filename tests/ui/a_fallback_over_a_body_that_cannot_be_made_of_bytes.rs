//! A hop with another model needs another body, which is made of bytes.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::Layer;

fn main() {
    let client = tower::service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, towline::BoxError>(Response::new(Empty::<Bytes>::new())) });
    towline::for_body::<Empty<Bytes>, _>(towline::FallbackLayer::none().layer(client));
}
