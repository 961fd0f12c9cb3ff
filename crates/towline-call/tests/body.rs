//! Reading the caller's body.

mod common;

use std::{collections::VecDeque, error::Error as _, io, marker::PhantomPinned, rc::Rc};

use bytes::Bytes;
use common::*;
use http::Response;
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use towline_call::CallLayer;
use towline_core::{BoxError, Call, Error, FailureKind, Origin, RetryVerdict, Scope};
use towline_testkit::ScriptedBody;

/// What the service beneath gets of `body`.
async fn arrives<B>(layer: CallLayer, body: B) -> Result<Bytes, Error>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let response = layer.layer(service_fn(echo)).oneshot(chat(body)).await?;
    Ok(response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_body_in_one_frame_is_not_copied() {
    let sent = Bytes::from_static(b"one frame");
    for arrived in
        [arrives(CallLayer::new(), Full::new(sent.clone())).await, arrives(CallLayer::new(), frames([sent.clone()])).await]
    {
        assert_eq!(arrived.unwrap().as_ptr(), sent.as_ptr());
    }
}

#[tokio::test]
async fn what_is_not_json_is_sent_as_it_is() {
    let response: Response<_> = CallLayer::new().layer(service_fn(echo)).oneshot(chat(full("{\"model\":"))).await.unwrap();
    assert_eq!(Call::of(response.extensions()).unwrap().facts().model, None);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{\"model\":");
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_a_byte_is_read() {
    let service = CallLayer::new().max_body(10).layer(service_fn(must_not_be_called));
    // A body that was polled would be pending.
    let error = tokio_test::task::spawn(service.oneshot(chat(ScriptedBody::new().hang().with_length(11)))).poll();
    let std::task::Poll::Ready(Err(error)) = error else { panic!("it was read") };
    let failure = error.failure();
    assert_eq!((failure.kind, failure.scope, failure.origin), (FailureKind::PayloadTooLarge, Scope::Request, Origin::Caller));
}

#[tokio::test]
async fn a_body_that_turns_out_to_be_too_long_is_refused_too() {
    let layer = CallLayer::new().max_body(10);
    assert_eq!(arrives(layer, frames(["12345", "67890", "1"])).await.unwrap_err().kind(), FailureKind::PayloadTooLarge);
    assert_eq!(arrives(layer, frames(["12345", "67890", ""])).await.unwrap(), "1234567890");
}

#[tokio::test]
async fn a_body_that_breaks_is_the_callers_mistake() {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let error = arrives(CallLayer::new(), frames(["{"]).error(reset)).await.unwrap_err();
    let failure = error.failure();
    assert_eq!((failure.kind, failure.origin, failure.retry), (FailureKind::InvalidRequest, Origin::Caller, RetryVerdict::Never));
    assert!(error.source().unwrap().is::<io::Error>());
}

#[tokio::test]
async fn a_limit_on_the_body_that_stands_further_out_is_told_as_what_it_is() {
    let error = arrives(CallLayer::new(), Limited::new(frames(["12345"]), 2)).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::PayloadTooLarge);
}

#[tokio::test]
async fn bodies_of_axum_and_others_that_are_not_sync_fit() {
    assert_eq!(arrives(CallLayer::new(), axum::body::Body::from("from axum")).await.unwrap(), "from axum");
    assert_eq!(arrives(CallLayer::new(), full("boxed").boxed_unsync()).await.unwrap(), "boxed");
}

#[tokio::test]
async fn a_body_that_is_neither_send_nor_unpin_and_whose_data_are_no_bytes_fits() {
    let data: VecDeque<u8> = "own data".bytes().collect();
    let marker = (Rc::new(()), PhantomPinned);
    let body = Full::new(data).map_err(move |never| {
        let _ = &marker;
        never
    });
    assert_eq!(arrives(CallLayer::new(), body).await.unwrap(), "own data");
}

proptest! {
    #[test]
    fn whatever_the_frames_the_body_arrives_whole_or_not_at_all(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..8),
        max in 0..100_usize,
        announced in 0..100_u64,
    ) {
        let whole = frames.concat();
        let mut hint = SizeHint::new();
        hint.set_lower(announced.min(whole.len() as u64));
        let body = common::frames(frames).with_size_hint(hint);
        match tokio_test::block_on(arrives(CallLayer::new().max_body(max), body)) {
            Ok(bytes) => prop_assert!(bytes == whole && whole.len() <= max),
            Err(error) => prop_assert!(error.kind() == FailureKind::PayloadTooLarge && whole.len() > max),
        }
    }
}
