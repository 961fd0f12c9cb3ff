//! What can be asked of the types: cost of the success path, auto traits, bounds.

mod support;

use std::{convert::Infallible, future::Future, task::Poll};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use support::Script;
use tower::{Layer, Service};
use towline_classify::{ClassifiedBody, Classify, ClassifyLayer, ResponseFuture};

fn assert_send<T: Send>(_: &T) {}

#[test]
fn futures_and_bodies_are_send_where_the_inner_ones_are() {
    let service =
        tower::service_fn(|_: Request<Empty<Bytes>>| std::future::ready(Ok::<_, Infallible>(Response::new(Script::new([])))));
    let mut service = ClassifyLayer::new().layer(service);
    assert_send(&service);
    assert_send(&service.call(support::request()));
    fn send<T: Send>() {}
    send::<ClassifiedBody<Script>>();
    send::<Classify<std::cell::Cell<()>>>();
    send::<ResponseFuture<std::future::Ready<()>, Script>>();
}

#[test]
fn what_is_not_send_is_served_as_well() {
    let local = std::rc::Rc::new(());
    let service = tower::service_fn(move |_: Request<Empty<Bytes>>| {
        let local = std::rc::Rc::clone(&local);
        async move {
            drop(local);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    let mut service = ClassifyLayer::new().layer(service);
    assert!(tokio_test::task::spawn(service.call(support::request())).poll().is_ready());
}

#[test]
fn a_plain_success_allocates_nothing() {
    for content_type in ["application/json", "text/plain", "application/octet-stream"] {
        let body =
            Bytes::from_static(br#"{"id":"c","choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}],"error":null}"#);
        let response = Response::builder().header("content-type", content_type).body(Full::new(body)).unwrap();
        let mut response = Some(response);
        let service = tower::service_fn(|_: Request<Empty<Bytes>>| std::future::ready(response.take().ok_or("asked twice")));
        let mut service = ClassifyLayer::new().layer(service);
        let request = support::request();
        let mut answer = None;
        let counted = measure(|| {
            let mut future = std::pin::pin!(service.call(request));
            if let Poll::Ready(ready) = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
                answer = Some(ready.unwrap());
            }
        });
        assert_eq!((counted.count_total, answer.is_some()), (0, true), "{content_type}");
    }
}
