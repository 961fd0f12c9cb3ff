//! The edge cases 1 to 13 of failing and trying again, through the whole stack. Where a case belongs to one layer, that layer's own tests
//! go deeper: `towline-core`'s `hint` and `budget` for 1, 2 and 10, `towline-classify`'s `edge_cases` for 1, 2 and 5 to 7, `towline-retry`'s
//! `behaviour` for 1, 2, 4, 11 and 12, `outage` here for 8.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline::{
    BoxError, Call, CallLayer, CircuitBreakerLayer, FailureKind, FallbackLayer, Outcome, RetryBudget, RetryLayer, Target, stack,
};
use towline_testkit::{MockProvider, Reply};
use towline_tests::{Body, hyper, post};

/// Answers by the name of the target, and counts.
#[derive(Clone)]
struct Upstream {
    seen: Arc<Mutex<Vec<(String, Instant)>>>,
    answer: Arc<Answer>,
}

/// From the name of the target, and how often it was asked before.
type Answer = dyn Fn(&str, usize) -> Response<Body> + Send + Sync;

impl Upstream {
    fn new(answer: impl Fn(&str, usize) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self { seen: Arc::default(), answer: Arc::new(answer) }
    }

    fn service(
        &self,
    ) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + Sync + use<>
    {
        let this = self.clone();
        tower::service_fn(move |request: Request<Body>| {
            let name = Target::of(request.extensions()).map_or("-", Target::name).to_owned();
            let nth = this.seen.lock().iter().filter(|(seen, _)| *seen == name).count();
            this.seen.lock().push((name.clone(), Instant::now()));
            let answer = (this.answer)(&name, nth);
            async move { Ok(answer) }
        })
    }

    fn names(&self) -> Vec<String> {
        self.seen.lock().iter().map(|(name, _)| name.clone()).collect()
    }
}

fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::default()).unwrap()
}

fn limited(after: &str) -> Response<Body> {
    Response::builder().status(429).header("retry-after", after).body(Body::default()).unwrap()
}

fn two() -> FallbackLayer {
    FallbackLayer::new(["first", "second"].map(|name| Target::new(name, format!("http://{name}")).unwrap())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn case_1_a_wait_that_cannot_be_read_is_a_wait_of_our_own() {
    for value in ["-3", "NaN", "inf", "1e9", ""] {
        let upstream = Upstream::new(move |_, nth| if nth == 0 { limited(value) } else { answer(200) });
        let began = Instant::now();
        let response = stack(upstream.service()).build().unwrap().oneshot(post("http://host/")).await.unwrap();
        assert_eq!((response.status().as_u16(), upstream.names().len()), (200, 2), "{value:?}");
        assert!(began.elapsed() <= Duration::from_millis(1001), "{value:?} waited {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn case_2_should_retry_lifts_neither_a_wait_of_days_nor_a_wrong_request() {
    let told = |status: u16, after: &'static str| {
        Upstream::new(move |_, _| {
            let head = Response::builder().status(status).header("x-should-retry", "true").header("retry-after", after);
            head.body(Body::default()).unwrap()
        })
    };
    for (status, after) in [(429, "1296000"), (400, "0")] {
        let upstream = told(status, after);
        let began = Instant::now();
        let response = stack(upstream.service()).build().unwrap().oneshot(post("http://host/")).await.unwrap();
        assert_eq!((response.status().as_u16(), upstream.names().len()), (status, 1));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn case_3_a_hint_beyond_the_deadline_returns_at_once_and_the_fallback_runs() {
    let upstream = Upstream::new(|name, _| if name == "first" { limited("30") } else { answer(200) });
    let began = Instant::now();
    let service = stack(upstream.service())
        .fallback(two())
        .call(CallLayer::new().deadline(Duration::from_secs(20)).unwrap())
        .build()
        .unwrap();
    let response = service.oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!((response.status().as_u16(), upstream.names()), (200, vec!["first".to_owned(), "second".to_owned()]));
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody slept");
}

#[tokio::test(start_paused = true)]
async fn case_4_two_hundred_callers_of_one_hint_come_back_spread_and_none_early() {
    let upstream = Upstream::new(|_, nth| if nth < 200 { limited("2") } else { answer(200) });
    let service = stack(upstream.service()).retry(RetryLayer::new().without_budget().seed(3)).build().unwrap();
    let began = Instant::now();
    let callers: Vec<_> = (0..200).map(|_| tokio::spawn(service.clone().oneshot(post("http://host/")))).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().status(), 200);
    }
    let seen = upstream.seen.lock();
    let back: std::collections::BTreeSet<_> = seen.iter().skip(200).map(|(_, at)| at.duration_since(began).as_millis()).collect();
    assert!(back.first() >= Some(&2000) && back.last() <= Some(&2451), "{:?} to {:?}", back.first(), back.last());
    assert!(back.len() > 100, "spread over {} instants", back.len());
}

#[tokio::test(start_paused = true)]
async fn case_5_what_is_spent_is_not_asked_again_and_the_fallback_runs() {
    const SPENT: &str =
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let upstream = Upstream::new(|name, _| {
        let head = Response::builder().header("content-type", "application/json");
        if name == "first" { head.status(429).body(Full::from(SPENT)).unwrap() } else { answer(200) }
    });
    let response = stack(upstream.service()).fallback(two()).build().unwrap().oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!((response.status().as_u16(), upstream.names()), (200, vec!["first".to_owned(), "second".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn case_6_a_stream_that_begins_with_an_error_is_another_attempt_and_one_that_is_cut_is_an_error() {
    const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[]}}\n\n";
    const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
    let upstream = Upstream::new(|_, nth| {
        let body = if nth == 0 { format!("{PING}{ERROR}") } else { format!("{START}{DELTA}") };
        Response::builder().header("content-type", "text/event-stream").body(Full::from(body)).unwrap()
    });
    let response = stack(upstream.service()).build().unwrap().oneshot(post("http://host/v1/messages")).await.unwrap();
    assert_eq!(upstream.names().len(), 2, "the error was never seen by the caller");
    let broken = response.into_body().collect().await.err().unwrap();
    assert_eq!(broken.kind(), FailureKind::StreamBroken, "a stream without its end is not a short answer");
}

#[tokio::test(start_paused = true)]
async fn case_7_a_wait_that_stands_only_in_the_body_is_obeyed() {
    const GEMINI: &str = r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"45.837906927s"}]}}"#;
    let upstream = Upstream::new(|_, nth| {
        let head = Response::builder().header("content-type", "application/json");
        if nth == 0 { head.status(429).body(Full::from(GEMINI)).unwrap() } else { answer(200) }
    });
    let began = Instant::now();
    let response =
        stack(upstream.service()).build().unwrap().oneshot(post("http://host/v1beta/models/g:generateContent")).await.unwrap();
    assert_eq!(response.status(), 200);
    let waited = began.elapsed();
    assert!(waited >= Duration::new(45, 837_906_927) && waited <= Duration::from_secs(51), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn case_9_a_thousand_idle_processes_do_not_multiply_the_load() {
    let upstream = Upstream::new(|_, nth| answer(if nth % 2 == 0 { 500 } else { 200 }));
    let share = RetryBudget::default().for_fleet(NonZeroU32::new(1000).unwrap());
    let fleet: Vec<_> = (0..1000).map(|_| RetryLayer::new().budget(share.fresh()).layer(upstream.service())).collect();
    for _ in 0..6 {
        for process in &fleet {
            process.clone().oneshot(post("http://host/")).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    let load = upstream.names().len() as f64 / 6000.0;
    assert!(load <= 1.15, "{load}");
}

#[tokio::test(start_paused = true)]
async fn case_10_the_budget_is_exact_through_the_layer() {
    for (per_success, successes) in [(0.3, 4), (0.9, 2)] {
        let budget = RetryBudget::new(per_success, 10, 0).unwrap();
        let upstream = Upstream::new(move |_, nth| answer(if nth < successes { 200 } else { 500 }));
        let service = RetryLayer::new().budget(budget.clone()).layer(upstream.service());
        for _ in 0..successes {
            service.clone().oneshot(post("http://host/")).await.unwrap();
        }
        assert!((budget.tokens() - per_success * successes as f64).abs() < 1e-9);
        service.oneshot(post("http://host/")).await.unwrap();
        assert_eq!(upstream.names().len(), successes + 2, "one token, one retry");
    }
}

#[tokio::test(start_paused = true)]
async fn case_12_a_request_of_32_mib_is_sent_again_without_a_copy() {
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let log = Arc::clone(&seen);
    let inner = tower::service_fn(move |request: Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            log.lock().push(bytes.as_ptr() as usize);
            Ok::<_, BoxError>(answer(if log.lock().len() < 3 { 503 } else { 200 }))
        }
    });
    let body = Bytes::from(vec![b' '; 32 * 1024 * 1024]);
    let at = body.as_ptr() as usize;
    let request = Request::post("http://host/").body(Full::new(body)).unwrap();
    let response = stack(inner).build().unwrap().oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.lock().clone()), (200, vec![at; 3]), "three attempts at the caller's own bytes");
}

#[tokio::test(start_paused = true)]
async fn case_13_attempts_are_counted_once_and_our_own_refusals_are_never_retried() {
    let upstream = Upstream::new(|_, _| answer(500));
    let inner = stack(upstream.service()).retry(RetryLayer::new().attempts(1).unwrap()).build().unwrap();
    let outer = RetryLayer::new().layer(inner);
    let response = outer.oneshot(post("http://host/")).await.unwrap();
    assert_eq!((response.status().as_u16(), upstream.names().len()), (500, 3), "one owner of retries, three attempts");

    let upstream = Upstream::new(|_, _| answer(500));
    let breaker = CircuitBreakerLayer::new().consecutive_failures(2).unwrap();
    let service = stack(upstream.service()).circuit_breaker(breaker).build().unwrap();
    let error = service.oneshot(post("http://host/")).await.unwrap_err();
    assert_eq!((error.kind(), upstream.names().len()), (FailureKind::CircuitOpen, 2), "the refusal of the third is final");
    assert_eq!(error.call().map(Call::attempts), Some(3));
}

/// A connection is used again whether or not anybody reads what went wrong.
#[tokio::test]
async fn case_12_ten_429s_over_http_1_use_one_connection() {
    let provider = MockProvider::start().await.unwrap();
    provider.script((0..10).map(|_| Reply::status(429).header("retry-after", "0").body("x".repeat(64 * 1024))));
    let retry = RetryLayer::new().attempts(11).unwrap().without_budget();
    let response = stack(hyper()).retry(retry).build().unwrap().oneshot(post(provider.url("/"))).await.unwrap();
    assert_eq!((response.status().as_u16(), provider.hits(), provider.connections()), (200, 11, 1));
    assert_eq!(Outcome::of_response(&response), Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_limits_the_rate_is_asked_twice_at_most_while_another_waits() {
    let upstream = Upstream::new(|name, _| if name == "first" { limited("0.5") } else { answer(200) });
    let service = stack(upstream.service()).fallback(two()).build().unwrap();
    assert_eq!(service.oneshot(post("/v1/messages")).await.unwrap().status(), 200);
    assert_eq!(upstream.names(), ["first", "first", "second"]);

    let upstream = Upstream::new(|name, _| if name == "first" { limited("5") } else { answer(200) });
    let began = Instant::now();
    stack(upstream.service()).fallback(two()).build().unwrap().oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!(
        (upstream.names().len(), began.elapsed()),
        (2, Duration::ZERO),
        "five seconds are longer than the way to the second"
    );

    let upstream = Upstream::new(|_, nth| if nth < 2 { limited("5") } else { answer(200) });
    let one = FallbackLayer::new([Target::new("first", "http://first").unwrap()]).unwrap();
    let response = stack(upstream.service()).fallback(one).build().unwrap().oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!((response.status().as_u16(), upstream.names().len()), (200, 3), "with nowhere else to go it is waited for");
}
