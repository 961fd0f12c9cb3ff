//! What a chaos layer injects, and that it keeps tower's contract.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod support;

use std::{error::Error as _, future::ready, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use support::{client, find, post};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, FailureKind, Phase, Target};
use towline_testkit::{
    Answer, Chaos, ChaosBody, ChaosFuture, ChaosHandle, ChaosLayer, Dialect, Injection, MockProvider, Probe, ProviderError,
    Reply, ScriptedBody,
};

const fn send<T: Send>() {}
const fn unpin<T: Unpin>() {}

const _: () = {
    send::<ChaosLayer>();
    send::<ChaosHandle>();
    send::<Chaos<u8>>();
    send::<ChaosFuture<u8>>();
    send::<ChaosBody<std::cell::Cell<u8>>>();
    unpin::<ChaosBody<u8>>();
};

type Empty = Full<Bytes>;

/// A transport that answers with what `body` makes.
fn transport<B>(body: impl Fn() -> B + Clone) -> impl Service<Request<Empty>, Response = Response<B>, Error = BoxError> + Clone {
    service_fn(move |_| ready(Ok::<_, BoxError>(Response::new(body()))))
}

async fn body_of(injection: Injection, body: ScriptedBody) -> ChaosBody<ScriptedBody> {
    let body = std::sync::Arc::new(parking_lot::Mutex::new(Some(body)));
    let service = ChaosLayer::new().inject(injection).layer(transport(move || body.lock().take().unwrap()));
    service.oneshot(Request::default()).await.unwrap().into_body()
}

/// All data of a body, and the kind of its error.
async fn read<B: Body<Data = Bytes, Error = towline_core::Error> + Unpin>(body: &mut B) -> (Vec<u8>, Option<FailureKind>) {
    let mut data = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => data.extend(frame.into_data().unwrap_or_default()),
            Err(error) => return (data, Some(error.kind())),
        }
    }
    (data, None)
}

#[tokio::test]
async fn an_error_is_what_the_provider_would_say() {
    let injection = Injection::error(Dialect::Anthropic, ProviderError::RateLimited(Some(Duration::from_secs(3))));
    let service = ChaosLayer::new().inject(injection).layer(transport(|| Empty::from("{}")));
    let response = service.oneshot(Request::default()).await.unwrap();
    assert_eq!((response.status(), &response.headers()["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"3".parse().unwrap()));
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body();
    let size = body.size_hint().exact().unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(body.len() as u64, size);
    assert!(String::from_utf8_lossy(&body).contains("rate_limit_error"));
}

#[tokio::test]
async fn a_failure_says_its_kind_to_us_and_its_io_error_to_others() {
    for (kind, io) in [
        (FailureKind::Connect, io::ErrorKind::ConnectionRefused),
        (FailureKind::Transport, io::ErrorKind::ConnectionReset),
        (FailureKind::Timeout(Phase::Head), io::ErrorKind::TimedOut),
    ] {
        let service = ChaosLayer::new().inject(Injection::fail(kind)).layer(transport(|| Empty::from("{}")));
        let error = service.oneshot(Request::default()).await.unwrap_err();
        assert_eq!((error.kind(), find::<io::Error>(&error).unwrap().kind()), (kind, io));
        assert!(error.source().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_comes_before_the_request_is_passed_on() {
    let (probe, report) = Probe::new(transport(|| Empty::from("{}")));
    let second = Duration::from_secs(1);
    let layer = ChaosLayer::new().inject(Injection::delay(second)).inject(Injection::delay_up_to(second));
    let begin = Instant::now();
    let mut call = tokio_test::task::spawn(layer.layer(probe).oneshot(Request::default()));
    assert!(call.poll().is_pending());
    assert_eq!(report.polls(), 0);
    assert_eq!(call.await.unwrap().status(), StatusCode::OK);
    assert!((second..=second * 2 + Duration::from_millis(1)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!(layer.handle().counts().delayed, 1);
}

#[tokio::test]
async fn only_the_target_that_is_meant_is_hit() {
    let layer = ChaosLayer::new().inject(Injection::fail(FailureKind::Connect).for_target("primary"));
    let service = layer.layer(transport(|| Empty::from("{}")));
    for (name, hit) in [(Some("primary"), true), (Some("other"), false), (None, false)] {
        let mut request = Request::<Empty>::default();
        if let Some(name) = name {
            request.extensions_mut().insert(Target::new(name, "http://host").unwrap());
        }
        assert_eq!(service.clone().oneshot(request).await.is_err(), hit, "{name:?}");
    }
    assert_eq!((layer.handle().counts().requests, layer.handle().counts().injected()), (3, 1));
}

#[tokio::test]
async fn the_next_requests_are_hit_and_then_the_provider_recovers() {
    let layer = ChaosLayer::new();
    let handle = layer.handle();
    let service = layer.layer(transport(|| Empty::from("{}")));
    let ask = || async { service.clone().oneshot(Request::default()).await.is_ok() };
    assert!(ask().await);
    handle.inject(Injection::fail(FailureKind::Connect).first(2));
    assert_eq!([ask().await, ask().await, ask().await], [false, false, true]);
    handle.inject(Injection::fail(FailureKind::Connect));
    assert!(!ask().await);
    handle.clear();
    assert!(ask().await);
    let counts = handle.counts();
    assert_eq!((counts.requests, counts.failed), (4, 3), "what comes while nothing is injected is not counted");
}

#[tokio::test]
async fn a_cut_body_fails_and_lets_go_of_the_one_beneath() {
    let inner = ScriptedBody::new().data("hello").data("world").hang();
    let report = inner.report();
    let mut body = body_of(Injection::cut(7), inner).await;
    assert!(!body.is_end_stream());
    assert_eq!(read(&mut body).await, (b"hellowo".to_vec(), Some(FailureKind::StreamBroken)));
    assert!(report.is_dropped() && body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_silent_for_as_long_as_told_and_loses_nothing() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().unwrap());
    for after in [0, 3, 5, 10, 99] {
        let inner = ScriptedBody::new().data("hello").data("world").trailers(trailers.clone()).with_length(10);
        let begin = Instant::now();
        let body = body_of(Injection::stall(after, Duration::from_secs(30)), inner).await;
        assert_eq!(body.size_hint().exact(), Some(10));
        let whole = body.collect().await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 30, "{after}");
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "helloworld");
    }
}

#[tokio::test]
async fn an_error_beneath_comes_before_a_fault_that_lies_behind_it() {
    for injection in [Injection::cut(9), Injection::truncate(9), Injection::stall(9, Duration::MAX)] {
        let mut body = body_of(injection, ScriptedBody::new().data("hello").error("cable cut")).await;
        let (data, kind) = read(&mut body).await;
        assert_eq!((&data[..], kind), (&b"hello"[..], Some(FailureKind::StreamBroken)));
        assert!(body.frame().await.is_none());
    }
}

proptest! {
    #[test]
    fn a_body_ends_after_as_many_bytes_as_told(
        frames in prop::collection::vec("[a-z]{0,6}", 0..6),
        after in 0..40_u64,
        truncate: bool,
        known_length: bool,
    ) {
        let whole = frames.concat();
        let mut inner = frames.iter().cloned().fold(ScriptedBody::new().with_known_end(), ScriptedBody::data);
        if known_length {
            inner = inner.with_length(whole.len() as u64);
        }
        let injection = if truncate { Injection::truncate(after) } else { Injection::cut(after) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut body = body_of(injection, inner).await;
            let kept = whole.len().min(after as usize);
            let mut came = Vec::new();
            loop {
                let (hint, ended) = (body.size_hint(), body.is_end_stream());
                let left = (kept - came.len()) as u64;
                prop_assert!(hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper), "{hint:?} {left}");
                match body.frame().await {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap();
                        prop_assert!(!ended || data.is_empty());
                        came.extend(data);
                    }
                    Some(Err(error)) => {
                        prop_assert!(!ended && !truncate);
                        prop_assert_eq!(error.kind(), FailureKind::StreamBroken);
                        break;
                    }
                    None => {
                        prop_assert!(truncate);
                        break;
                    }
                }
            }
            prop_assert_eq!(&came[..], &whole.as_bytes()[..kept]);
            prop_assert!(body.is_end_stream() && body.frame().await.is_none());
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn it_keeps_towers_contract() {
    let (probe, report) = Probe::with_limit(transport(|| Empty::from("{}")), 1);
    let layer = ChaosLayer::seeded(3).inject(Injection::fail(FailureKind::Connect).probability(0.5).unwrap());
    let mut service = layer.layer(probe);
    let mut failed = 0;
    for _ in 0..100 {
        failed += u64::from(service.ready().await.unwrap().call(Request::default()).await.is_err());
    }
    assert_eq!((report.calls() as u64, layer.handle().counts().failed), (100 - failed, failed));
    report.assert_clean();
    report.set_ready(false);
    drop(service);
    let mut waiting = layer.layer(Probe::new(transport(|| Empty::from("{}"))).0);
    assert!(waiting.ready().await.is_ok(), "readiness is that of the service beneath");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_gives_back_what_it_held() {
    let (probe, report) = Probe::with_limit(transport(|| Empty::from("{}")), 1);
    let service = ChaosLayer::new().inject(Injection::delay(Duration::from_secs(9))).layer(probe);
    for nth in 1..4 {
        let mut call = tokio_test::task::spawn(service.clone().oneshot(Request::default()));
        assert!(call.poll().is_pending());
        drop(call);
        assert_eq!((report.live(), report.reserved(), report.calls()), (0, 0, nth));
    }
    report.assert_clean();
}

#[test]
fn a_request_that_meets_nothing_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bare = transport(|| Empty::from("{}"));
    let idle = ChaosLayer::new().layer(bare.clone());
    let armed = ChaosLayer::new().inject(Injection::cut(9).for_target("another")).layer(bare.clone());
    // The runtime's first turn on a thread allocates; the second tells.
    let count = |mut call: Box<dyn FnMut()>| {
        call();
        allocation_counter::measure(&mut call).count_total
    };
    macro_rules! ask {
        ($service:expr) => {{
            let (mut service, handle) = ($service, runtime.handle().clone());
            count(Box::new(move || {
                let response = handle.block_on(service.call(Request::default())).unwrap();
                assert!(handle.block_on(response.into_body().frame()).is_some());
            }))
        }};
    }
    assert_eq!([ask!(bare), ask!(idle), ask!(armed)], [0, 0, 0]);
}

#[tokio::test]
async fn over_a_real_socket_a_stream_is_cut_within_an_event() {
    let provider = MockProvider::start().await.unwrap();
    provider.speak(Dialect::OpenAiChat, Answer::counting(20));
    let chaos = ChaosLayer::new().inject(Injection::cut(1000).for_host(provider.address().to_string()));
    let service = chaos.layer(client());
    let request = || post(provider.url("/v1/chat/completions"), r#"{"stream":true}"#);
    let mut body = service.clone().oneshot(request()).await.unwrap().into_body();
    let (data, kind) = read(&mut body).await;
    assert_eq!((data.len(), kind), (1000, Some(FailureKind::StreamBroken)));
    assert_eq!(chaos.handle().counts().cut, 1);

    chaos.handle().clear();
    provider.script([Reply::status(503)]);
    assert_eq!(service.oneshot(request()).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE, "real failures come through");
    assert_eq!(provider.hits(), 2);
}
