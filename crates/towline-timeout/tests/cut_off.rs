//! Who hears of a limit that passed: those beneath, which are dropped, and those above, by what they had in hand.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod common;

use std::{future::pending, num::NonZeroU32, sync::Arc};

use bytes::Bytes;
use common::*;
use http_body_util::{Empty, Full};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use towline_core::{BoxError, Call, Facts, FailureKind, Target};
use towline_rate_limit::RateLimitLayer;
use towline_retry::RetryLayer;
use towline_testkit::{Probe, ScriptedBody};
use towline_timeout::TimeoutLayer;

/// Notes, when it is dropped, whether its call says that it is cut off: what a circuit breaker's permit does.
struct Permit {
    call: Call,
    began: Instant,
    told: Told,
}

type Told = Arc<Mutex<Vec<bool>>>;

impl Permit {
    fn of(request: &Request, told: &Told) -> Self {
        Self { call: Call::of(request.extensions()).unwrap().clone(), began: Instant::now(), told: Arc::clone(told) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.told.lock().push(self.call.is_cut_off(self.began));
    }
}

fn called(deadline: Option<u64>) -> Request {
    let now = Instant::now();
    request_with(Call::new(Facts::default(), now, deadline.map(|after| now + secs(after))))
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_beneath_can_tell_a_limit_from_the_callers_leave() {
    let told = Told::default();
    let waiting = told.clone();
    let silent = service_fn(move |request: Request| {
        let permit = Permit::of(&request, &waiting);
        async move {
            let _permit = permit;
            pending::<Result<Response<ScriptedBody>, BoxError>>().await
        }
    });
    let service = TimeoutLayer::attempt().layer(silent);
    // An answer in time is not there to be asked; so: the limit, the caller, and the deadline, of which the breaker knows by itself.
    assert_eq!(service.clone().oneshot(called(None)).await.unwrap_err().kind(), HEAD);
    tokio::time::timeout(secs(119), service.clone().oneshot(called(None))).await.unwrap_err();
    assert_eq!(service.oneshot(called(Some(119))).await.unwrap_err().kind(), FailureKind::DeadlineExceeded);
    assert_eq!(*told.lock(), [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_with_the_body_can_tell_it_too() {
    for (cut, expected) in [(true, Err(IDLE)), (false, Ok(()))] {
        let told = Told::default();
        let body = if cut { ScriptedBody::new().data("begun").hang() } else { ScriptedBody::new().data("begun") };
        let (mut body, mine) = (Some(body), told.clone());
        let answers = service_fn(move |request: Request| {
            let permit = Permit::of(&request, &mine);
            let body = http_body_util::BodyExt::map_frame(body.take().unwrap(), move |frame| (&permit, frame).1);
            std::future::ready(Ok::<_, BoxError>(Response::new(body)))
        });
        let response = TimeoutLayer::attempt().layer(answers).oneshot(called(None)).await.unwrap();
        assert_eq!(read(response.into_body()).await.1, expected);
        assert_eq!(*told.lock(), [cut]);
    }
}

#[tokio::test(start_paused = true)]
async fn of_attempts_that_share_a_limit_only_one_that_had_half_of_it_is_to_blame() {
    let told = Told::default();
    for earlier in [0, 299, 300, 301, 599] {
        let mine = told.clone();
        let attempts = service_fn(move |request: Request| {
            let mine = mine.clone();
            async move {
                tokio::time::sleep(secs(earlier)).await;
                let _permit = Permit::of(&request, &mine);
                pending::<Result<Response<ScriptedBody>, BoxError>>().await
            }
        });
        assert_eq!(TimeoutLayer::call().layer(attempts).oneshot(called(None)).await.unwrap_err().kind(), TOTAL);
    }
    assert_eq!(*told.lock(), [true, true, true, false, false]);
}

type Posted = http::Request<Full<Bytes>>;

fn posted(deadline: Option<u64>) -> Posted {
    called(deadline).map(|()| Full::from("{}"))
}

/// A provider that asks for half a minute.
async fn unavailable(_: Posted) -> Result<Response<Empty<Bytes>>, http::Error> {
    http::Response::builder().status(503).header("retry-after", "30").body(Empty::new())
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn a_total_that_passes_during_a_backoff_ends_it_and_nothing_more_is_sent() {
    let (probe, report) = Probe::new(service_fn(unavailable));
    let total = TimeoutLayer::new().total(secs(10)).unwrap();
    let service = ServiceBuilder::new().layer(total).layer(RetryLayer::new()).service(probe);
    let began = Instant::now();
    let error = service.oneshot(posted(None)).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (TOTAL, 10));
    tokio::time::sleep(secs(60)).await;
    assert_eq!((report.calls(), report.live()), (1, 0));
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_would_pass_during_a_backoff_ends_the_call_before_it() {
    let (probe, report) = Probe::new(service_fn(unavailable));
    let service = ServiceBuilder::new().layer(TimeoutLayer::call()).layer(RetryLayer::new()).service(probe);
    let began = Instant::now();
    let response = service.oneshot(posted(Some(10))).await.unwrap();
    assert_eq!((response.status().as_u16(), began.elapsed().as_secs(), report.calls()), (503, 0, 1));
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn a_total_that_passes_in_a_queue_ends_the_wait_and_frees_the_place() {
    const ONE: NonZeroU32 = NonZeroU32::MIN;
    let (probe, report) = Probe::new(service_fn(|_: Request| std::future::ready(Ok::<_, BoxError>(Response::new(every(0, 1))))));
    let limit = RateLimitLayer::requests_per_minute(ONE).share(1.0).unwrap().max_wait(secs(600));
    let service = ServiceBuilder::new().layer(TimeoutLayer::new().total(secs(10)).unwrap()).layer(limit.clone()).service(probe);
    assert!(service.clone().oneshot(called(None)).await.is_ok());
    let began = Instant::now();
    let error = service.clone().oneshot(called(None)).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (TOTAL, 10));
    assert_eq!((report.calls(), limit.handle().waiting(None)), (1, 0));
    // A deadline is known beforehand: nobody who cannot be served in time is let into the line.
    let error = service.oneshot(called(Some(20))).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (FailureKind::LimitedLocally, 10));
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn the_limits_of_an_attempt_do_not_run_in_a_queue_above_it() {
    let began = Instant::now();
    let limit = RateLimitLayer::requests_per_minute(NonZeroU32::MIN).share(1.0).unwrap().max_wait(secs(600));
    let silent = service_fn(|_: Request| pending::<Result<Response<ScriptedBody>, BoxError>>());
    let service = ServiceBuilder::new().layer(limit).layer(TimeoutLayer::chat()).service(silent);
    let (first, second) = tokio::join!(service.clone().oneshot(called(None)), async {
        let error = service.clone().oneshot(called(None)).await.unwrap_err();
        (error.kind(), began.elapsed().as_secs())
    });
    assert_eq!((first.unwrap_err().kind(), second), (HEAD, (HEAD, 120)), "60 s in line, and 60 s of its own");
}

#[tokio::test(start_paused = true)]
async fn a_profile_chooses_by_model_and_target_and_leaves_the_rest_to_the_layer() {
    let slow = TimeoutLayer::reasoning().limits();
    let layer = TimeoutLayer::chat().profile(move |facts: &Facts, target: Option<&Target>| {
        target.and_then(Target::model).or(facts.model.as_deref())?.starts_with("thinker").then_some(slow)
    });
    let service = layer.layer(service_fn(|_: Request| pending::<Result<Response<ScriptedBody>, BoxError>>()));
    let asks = |model: &str, target: Option<&str>| {
        let mut facts = Facts::default();
        facts.model = Some(model.into());
        let mut request = request_with(Call::new(facts, Instant::now(), None));
        if let Some(model) = target {
            request.extensions_mut().insert(Target::new("t", "http://host").unwrap().with_model(model));
        }
        request
    };
    let nobody = Request::default();
    for (request, limit) in [
        (asks("thinker-2", None), 300),
        (asks("talker", None), 60),
        (asks("talker", Some("thinker")), 300),
        (asks("thinker", Some("talker")), 60),
        (nobody, 60),
    ] {
        let began = Instant::now();
        assert_eq!(service.clone().oneshot(request).await.unwrap_err().kind(), HEAD);
        assert_eq!(began.elapsed().as_secs(), limit);
    }
}
