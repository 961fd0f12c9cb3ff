//! `CallLayer` outermost: its place in the documented order.

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline::{Call, CallLayer, CircuitBreakerLayer, ClassifyLayer, FailureKind, Target, TimeoutLayer, body::ReplayBody};
use towline_tests::Body;

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn the_reading_of_an_error_ends_at_the_deadline() {
    let slow = || status(503).pause(SECOND).then("}");
    let provider = Provider::new([slow(), slow()]);
    let classify = ClassifyLayer::new().layer(provider.transport());
    let response = head(&call_within(2 * SECOND).layer(classify.clone())).await.unwrap();
    assert_eq!(written(&response), Some(FailureKind::Overloaded));
    assert!(Call::of(response.extensions()).is_some());
    // The error's body comes too late for this one.
    assert_eq!(ask(&call_within(SECOND / 2).layer(classify)).await, "DeadlineExceeded");
    assert_eq!(provider.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_body_is_sent_as_often_as_needed_and_none_after_the_deadline() {
    let provider = Provider::new([status(503), status(503), status(200), status(503).retry_after("30")]);
    let client = call_within(20 * SECOND).layer(retry().layer(provider.transport()));
    let once = || request().map(axum::body::Body::new);
    let response = client.clone().oneshot(once()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "- overloaded, - overloaded, - ok");
    assert!(provider.log().iter().all(|sent| sent.body == r#"{"model":"m"}"#));
    // The wait of 30 s would end after the deadline, so the answer is handed on at once.
    let began = Instant::now();
    assert_eq!(told(client.oneshot(once()).await).await, "503 {}");
    assert_eq!((provider.sent(), began.elapsed()), (4, ms(0)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_deadline_cut_is_a_failure_to_the_circuit() {
    let provider = Provider::new([]).always("-", silence());
    let breaker = CircuitBreakerLayer::new();
    let client = call_within(SECOND).layer(breaker.layer(provider.transport()));
    for _ in 0..5 {
        assert!(!is_open(&breaker.handle(), None));
        assert_eq!(ask(&client).await, "DeadlineExceeded");
    }
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((provider.sent(), provider.report().dropped()), (5, 5));
    // A deadline that passed in the line before the transport blames nobody.
    let (fresh, busy) = (CircuitBreakerLayer::new(), Provider::new([]));
    busy.report().set_ready(false);
    let client = call_within(SECOND).layer(fresh.layer(busy.transport()));
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "DeadlineExceeded");
    }
    assert_eq!((busy.sent(), is_open(&fresh.handle(), None)), (0, false));
}

#[tokio::test(start_paused = true)]
async fn nobody_stands_in_line_beyond_the_deadline() {
    let provider = Provider::new([]);
    let limiter = limiter(1);
    let client = call_within(SECOND / 2).layer(limiter.layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 {}");
    let began = Instant::now();
    let refused = head(&client).await.unwrap_err();
    assert_eq!((refused.kind(), refused.failure().hint.retry_after), (FailureKind::LimitedLocally, Some(SECOND)));
    assert_eq!((began.elapsed(), provider.sent(), limiter.handle().waiting(None)), (ms(0), 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_reaches_into_the_body_and_a_stream_has_its_own_total() {
    let slow = || status(200).pause(5 * SECOND).then("late");
    let provider = Provider::new([slow(), slow(), silence()]);
    let hurried = call_within(SECOND).layer(TimeoutLayer::new().layer(provider.transport()));
    assert_eq!(ask(&hurried).await, "200 then DeadlineExceeded");
    // The limit that counts is chosen by what the request says of itself, before there is a head.
    let totals = TimeoutLayer::new().total(SECOND).unwrap().stream_total(8 * SECOND).unwrap();
    let client = CallLayer::new().layer(totals.layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 then Timeout(Total)");
    let began = Instant::now();
    assert_eq!(told(client.oneshot(streaming()).await).await, "Timeout(Total)");
    assert_eq!(began.elapsed(), 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn all_targets_share_one_call_and_its_deadline() {
    let late = || status(503).after(4 * SECOND);
    let provider = Provider::new([]).always("a", late());
    let client = call_within(10 * SECOND).layer(fallback().layer(provider.transport()));
    let body: ReplayBody<Body> = ReplayBody::once(request().into_body());
    let response = client.clone().oneshot(request().map(|_| body)).await.unwrap();
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "a overloaded, b ok", "though that body could be sent only once");
    assert_eq!(Target::of(response.extensions()).map(Target::name), Some("b"));
    assert_eq!(provider.log()[1].left, Some(6 * SECOND), "what the first has left");
    provider.now("a", silence());
    let response = head(&client).await.unwrap();
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "a timeout, b ok", "half is left at least");
    assert_eq!(provider.log()[3].left, Some(5 * SECOND));
}
