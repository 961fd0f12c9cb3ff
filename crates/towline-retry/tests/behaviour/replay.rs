use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Layer, ServiceExt, service_fn};
use towline_core::body::ReplayBody;
use towline_retry::RetryLayer;

use crate::support::{Listener, Log, request};

#[tokio::test(start_paused = true)]
async fn a_body_that_can_be_sent_only_once_is_sent_once_and_that_is_no_error() {
    let (log, listener) = (Log::default(), Listener::default());
    let requests = log.clone();
    let provider = service_fn(move |request: Request<ReplayBody>| {
        requests.note(request);
        async { Response::builder().status(503).body(Full::<Bytes>::default()) }
    });
    let client = RetryLayer::new().observer(Arc::new(listener.clone())).layer(provider);
    let body: ReplayBody = ReplayBody::once(Full::from("a stream"));
    let answer = client.oneshot(Request::post("http://host/").body(body).unwrap()).await.unwrap();
    assert_eq!((log.count(), answer.status().as_u16()), (1, 503));
    assert_eq!(listener.heard(), ["1 failed, overloaded", "stopped at 1, NotReplayable"]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_the_same_request() {
    let seen: Mutex<Vec<(http::request::Parts, Bytes)>> = Mutex::new(Vec::new());
    let provider = service_fn(|request: Request<Full<Bytes>>| async {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        seen.lock().push((parts, body));
        Ok::<_, Infallible>(Response::builder().status(500).body(Full::<Bytes>::default()).unwrap())
    });
    let mut request = request();
    request.extensions_mut().insert("kept");
    let _ = RetryLayer::new().layer(provider).oneshot(request).await;
    let seen = seen.lock();
    assert_eq!(seen.len(), 3);
    for (parts, body) in &*seen {
        assert_eq!((&parts.method, &parts.uri, &parts.headers), (&seen[0].0.method, &seen[0].0.uri, &seen[0].0.headers));
        assert_eq!((parts.extensions.get::<&str>(), &body[..]), (Some(&"kept"), &b"{}"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_sent_again_without_a_copy() {
    let pointers = Mutex::new(Vec::new());
    let provider = service_fn(|request: Request<Full<Bytes>>| async {
        let body = request.into_body().frame().await.unwrap()?.into_data().unwrap();
        pointers.lock().push((body.as_ptr() as usize, body.len()));
        Ok::<_, Infallible>(Response::builder().status(500).body(Full::<Bytes>::default()).unwrap())
    });
    let body = Bytes::from(vec![7; 32 * 1024 * 1024]);
    let expected = (body.as_ptr() as usize, body.len());
    let _ = RetryLayer::new().layer(provider).oneshot(Request::post("http://host/").body(Full::new(body)).unwrap()).await;
    assert_eq!(*pointers.lock(), [expected; 3]);
}
