//! `reqwest::Client` is a service of `reqwest::Request`.

use tower::Layer;

fn main() {
    let client = reqwest::Client::new();
    towline::for_body::<towline_tests::Body, _>(towline::TimeoutLayer::attempt().layer(client));
}
