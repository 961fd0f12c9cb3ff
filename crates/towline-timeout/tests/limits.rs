//! Each limit, in paused time.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod common;

use std::{
    future::{pending, ready},
    sync::Arc,
};

use common::*;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, Call, Error, Facts, FailureKind, Origin, Phase, Target};
use towline_testkit::ScriptedBody;
use towline_timeout::{Timeout, TimeoutLayer};

type Answer = Result<Response<Empty<bytes::Bytes>>, BoxError>;

/// A request that is part of a call which must end so many seconds from now.
fn with_deadline(after: u64) -> Request {
    let now = Instant::now();
    request_with(Call::new(Facts::default(), now, Some(now + secs(after))))
}

async fn never(_: Request) -> Answer {
    pending().await
}

/// What the caller reads of `body` through `layer`, and after how many seconds it is over.
async fn reading(
    layer: &TimeoutLayer,
    request: Request,
    response: Response<ScriptedBody>,
) -> (usize, Result<(), FailureKind>, u64) {
    let mut response = Some(response);
    let service = layer.layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap()))));
    let began = Instant::now();
    let response = service.oneshot(request).await.unwrap();
    let (bytes, end) = read(response.into_body()).await;
    (bytes, end, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_target_with_a_limit_of_its_own_is_waited_for_no_longer_and_no_shorter() {
    for own in [5, 500] {
        let target = Target::new("primary", "http://host").unwrap().with_timeout(Phase::Head, secs(own)).unwrap();
        let began = Instant::now();
        let error = TimeoutLayer::attempt().layer(service_fn(never)).oneshot(request_with(target)).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (HEAD, secs(own)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_can_be_left_to_others_and_own_limits_still_hold() {
    let layer = TimeoutLayer::new().idle(secs(9)).unwrap().without_deadline();
    let seen = reading(&layer, with_deadline(5), Response::new(paced([8, 8]))).await;
    assert_eq!(seen, (2, Ok(()), 16));
    let seen = reading(&layer, with_deadline(5), Response::new(paced([8, 10]))).await;
    assert_eq!(seen, (1, Err(IDLE), 17));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_and_without_the_deadline_all_passes_through() {
    let layer = TimeoutLayer::new().without_deadline();
    assert!(layer.has_no_limits() && !TimeoutLayer::call().has_no_limits());
    assert!(!TimeoutLayer::new().profile(|_, _| None).has_no_limits());
    let seen = reading(&layer, with_deadline(5), Response::new(paced([8, 80]))).await;
    assert_eq!(seen, (2, Ok(()), 88));
    let mut service = layer.layer(service_fn(async |_: Request| -> Answer { Ok(Response::new(Empty::new())) }));
    let mut answered = tokio_test::task::spawn(service.call(with_deadline(0)));
    assert!(matches!(answered.poll(), std::task::Poll::Ready(Ok(_))));
    assert!(answered.poll().is_pending(), "polled again it stays pending");
    let failing = service_fn(async |_: Request| -> Answer { Err("out of order".into()) });
    assert_eq!(layer.layer(failing).oneshot(Request::default()).await.unwrap_err().kind(), FailureKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_a_timeout_of_the_provider() {
    let heard = Arc::new(Heard::default());
    let layer = TimeoutLayer::attempt().observer(Arc::clone(&heard));
    let began = Instant::now();
    let target = Target::new("primary", "http://host").unwrap();
    let error = layer.layer(service_fn(never)).oneshot(request_with(target)).await.unwrap_err();
    assert_eq!((error.kind(), error.failure().origin), (HEAD, Origin::Upstream));
    assert_eq!(began.elapsed().as_secs(), 120);
    assert_eq!(*heard.0.lock(), [(Some("primary".into()), Phase::Head, secs(120))]);
}

#[tokio::test(start_paused = true)]
async fn a_byte_each_59_s_survives_an_idle_limit_of_60_s_and_one_at_61_s_does_not() {
    let layer = TimeoutLayer::attempt();
    let healthy = reading(&layer, Request::default(), Response::new(every(59, 100))).await;
    assert_eq!(healthy, (100, Ok(()), 5900));
    let heard = Arc::new(Heard::default());
    let layer = layer.observer(Arc::clone(&heard));
    let late = reading(&layer, Request::default(), Response::new(paced([59, 61]))).await;
    assert_eq!(late, (1, Err(IDLE), 119));
    assert_eq!(*heard.0.lock(), [(None, Phase::Idle, secs(60))]);
}

#[tokio::test(start_paused = true)]
async fn the_total_cuts_a_trickling_body() {
    let layer = TimeoutLayer::new().total(secs(10)).unwrap();
    let trickle = reading(&layer, Request::default(), Response::new(every(1, 100))).await;
    assert_eq!((trickle.1, trickle.2), (Err(TOTAL), 10));
    assert!((9..=10).contains(&trickle.0));
}

#[tokio::test(start_paused = true)]
async fn the_total_includes_the_head() {
    let layer = TimeoutLayer::new().total(secs(10)).unwrap();
    let slow = service_fn(|_: Request| async {
        tokio::time::sleep(secs(8)).await;
        Ok::<_, BoxError>(Response::new(ScriptedBody::new().hang()))
    });
    let began = Instant::now();
    let response = layer.layer(slow).oneshot(Request::default()).await.unwrap();
    assert_eq!((read(response.into_body()).await.1, began.elapsed().as_secs()), (Err(TOTAL), 10));
    let error = layer.layer(service_fn(never)).oneshot(Request::default()).await.unwrap_err();
    assert_eq!(error.kind(), TOTAL);
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_a_total_of_its_own_whoever_says_that_it_is_one() {
    let layer = TimeoutLayer::call();
    let mut announced = Response::new(every(20, 60));
    announced.headers_mut().insert(CONTENT_TYPE, "text/event-stream; charset=utf-8".parse().unwrap());
    assert_eq!(reading(&layer, Request::default(), announced).await, (60, Ok(()), 1200));
    let mut facts = Facts::default();
    facts.stream = true;
    let asked_for = request_with(Call::new(facts, Instant::now(), None));
    assert_eq!(reading(&layer, asked_for, Response::new(every(20, 60))).await, (60, Ok(()), 1200));
    let document = reading(&layer, Request::default(), Response::new(every(20, 60))).await;
    assert_eq!((document.1, document.2), (Err(TOTAL), 600));
}

#[tokio::test(start_paused = true)]
async fn when_the_calls_deadline_cuts_it_is_no_timeout_of_the_provider() {
    let service = TimeoutLayer::attempt().layer(service_fn(never));
    let error = service.oneshot(with_deadline(30)).await.unwrap_err();
    assert_eq!((error.kind(), error.failure().origin), (FailureKind::DeadlineExceeded, Origin::Local));
    let body = reading(&TimeoutLayer::attempt(), with_deadline(30), Response::new(every(7, 100))).await;
    assert_eq!(body, (4, Err(FailureKind::DeadlineExceeded), 30));
    let unlimited = reading(&TimeoutLayer::new(), with_deadline(30), Response::new(ScriptedBody::new().hang())).await;
    assert_eq!(unlimited, (0, Err(FailureKind::DeadlineExceeded), 30));
}

#[tokio::test(start_paused = true)]
async fn work_whose_deadline_has_passed_is_not_sent() {
    let mut service = TimeoutLayer::new().layer(service_fn(|_: Request| -> std::future::Ready<Answer> { panic!("it was sent") }));
    let request = with_deadline(30);
    tokio::time::advance(secs(30)).await;
    let error = service.ready().await.unwrap().call(request).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn without_limits_and_deadline_nothing_is_cut() {
    assert_eq!(reading(&TimeoutLayer::new(), Request::default(), Response::new(every(100_000, 9))).await, (9, Ok(()), 900_000));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_mistaken_for_a_silent_provider() {
    let service = TimeoutLayer::attempt().layer(service_fn(|_: Request| async { Ok::<_, BoxError>(Response::new(every(1, 5))) }));
    let mut body = service.oneshot(Request::default()).await.unwrap().into_body();
    for _ in 0..5 {
        tokio::time::sleep(secs(300)).await;
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_from_beneath_is_handed_on_as_it_is() {
    let refused = service_fn(|_: Request| async {
        Err::<Response<ScriptedBody>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
    });
    let error: Error = TimeoutLayer::attempt().layer(refused).oneshot(Request::default()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect);
}

/// Peers' D14: a panic that came out as a timeout.
#[tokio::test(start_paused = true)]
async fn a_panic_is_a_panic() {
    let service: Timeout<_> = TimeoutLayer::attempt()
        .layer(service_fn(|_: Request| async { if true { panic!("inside") } else { never(Request::default()).await } }));
    let end = tokio::spawn(service.oneshot(Request::default())).await;
    assert!(end.unwrap_err().is_panic());
}

#[tokio::test]
async fn size_and_end_are_forwarded_until_the_body_has_ended() {
    let body = ScriptedBody::new().data("one").data("more").with_length(7).with_known_end();
    let mut body = Some(body);
    let service = TimeoutLayer::attempt()
        .layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(Response::new(body.take().unwrap())))));
    let mut body = service.oneshot(Request::default()).await.unwrap().into_body();
    for left in [7, 4] {
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left), false));
        assert!(body.frame().await.is_some());
    }
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The plain model adds up the pauses and compares each with the limits that hold at that moment.
    #[test]
    fn a_body_is_cut_exactly_when_a_plain_reading_of_the_limits_says_so(
        pauses in proptest::collection::vec(0..20_u64, 0..20),
        idle in proptest::option::of(1..25_u64),
        total in proptest::option::of(1..200_u64),
        deadline in proptest::option::of(1..200_u64),
    ) {
        let mut expected = (0, Ok(()), 0);
        for &pause in &pauses {
            let now = expected.2;
            let mut ends = vec![];
            ends.extend(deadline.map(|at| (at.max(now), FailureKind::DeadlineExceeded)));
            ends.extend(total.map(|at| (at.max(now), TOTAL)));
            ends.extend(idle.map(|limit| (now + limit, IDLE)));
            match ends.into_iter().min_by_key(|(at, _)| *at).filter(|(at, _)| *at < now + pause) {
                Some((at, kind)) => { expected = (expected.0, Err(kind), at); break }
                None => expected = (expected.0 + 1, Ok(()), now + pause),
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let seen = runtime.block_on(async {
            let mut layer = TimeoutLayer::new();
            if let Some(idle) = idle { layer = layer.idle(secs(idle)).unwrap() }
            if let Some(total) = total { layer = layer.total(secs(total)).unwrap() }
            let request = deadline.map_or_else(Request::default, with_deadline);
            reading(&layer, request, Response::new(paced(pauses))).await
        });
        prop_assert_eq!(seen, expected);
    }
}
