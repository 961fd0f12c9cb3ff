//! `RetryLayer` above another layer: what that layer does, it does for each attempt.

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline::{Call, CircuitBreakerLayer, ClassifyLayer, FailureKind, RetryBudget, body::ReplayBody};
use towline_tests::Body;

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_call_with_a_deadline_of_its_own() {
    let late = || status(503).after(3 * SECOND);
    let provider = Provider::new([late(), late(), late(), silence(), late()]);
    let client = retry().layer(call_within(5 * SECOND).layer(provider.transport()));
    let began = Instant::now();
    let response = head(&client).await.unwrap();
    assert!(began.elapsed() >= 9 * SECOND, "no deadline for all of them");
    assert!(provider.log().iter().all(|sent| sent.left == Some(5 * SECOND)));
    assert_eq!((provider.sent(), trail(Call::of(response.extensions()).unwrap()).as_str()), (3, ""), "the retry knew of no call");
    assert_eq!(ask(&client).await, "DeadlineExceeded");
    assert_eq!(provider.sent(), 4, "whose deadline passed is not asked again");
    // The body becomes one that can be sent again beneath, where nobody sends again.
    let once: ReplayBody<Body> = ReplayBody::once(request().into_body());
    assert_eq!(told(client.oneshot(request().map(|_| once)).await).await, "503 {}");
    assert_eq!(provider.sent(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_is_tried_again_and_a_spent_quota_is_not() {
    let provider = Provider::new([status(200).body(HIDDEN), status(200), status(429).body(SPENT)]);
    let client = retry().layer(ClassifyLayer::new().layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!(provider.sent(), 2);
    assert_eq!(ask(&client).await, format!("429 {SPENT}"), "handed on whole");
    assert_eq!(provider.sent(), 3);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_passes_the_breaker_and_an_open_circuit_ends_them() {
    let provider = Provider::new([]).always("-", status(500));
    let (breaker, budget) = (CircuitBreakerLayer::new(), RetryBudget::new(0.1, 20, 10).unwrap());
    let client = retry().budget(budget.clone()).layer(breaker.layer(provider.transport()));
    assert_eq!(ask(&client).await, "500 {}");
    assert_eq!((provider.sent(), is_open(&breaker.handle(), None)), (3, false));
    // The second attempt of this call is the fifth failure; the third is refused, and refusals are not tried again.
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((provider.sent(), is_open(&breaker.handle(), None)), (5, true));
    assert_eq!(budget.tokens(), 7.0, "three retries were sent, and the one that was refused is not paid for");
    let began = Instant::now();
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((provider.sent(), began.elapsed()), (5, ms(0)));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_takes_a_permit() {
    let provider = Provider::new([]).always("-", status(503));
    let limiter = limiter(2);
    let client = retry().layer(limiter.layer(provider.transport()));
    let began = Instant::now();
    assert_eq!(ask(&client).await, "503 {}");
    assert_eq!((provider.sent(), limiter.handle().available(None)), (3, 0));
    assert!(began.elapsed() >= SECOND, "the third had to stand in line");
    // With a limiter where nobody waits, the third attempt is refused, and that is the end of them.
    let hurried = retry().throttle_backoff(ms(1), ms(1)).unwrap();
    let client = hurried.layer(limiter.max_wait(ms(0)).layer(provider.transport()));
    assert_eq!((ask(&client).await.as_str(), provider.sent()), ("LimitedLocally", 5));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_time_and_a_silent_target_is_asked_once() {
    let late = || status(503).after(3 * SECOND).retry_after("1");
    let provider = Provider::new([late(), late(), status(200).after(3 * SECOND), silence()]);
    let client = retry().layer(timeout(4 * SECOND).layer(provider.transport()));
    let began = Instant::now();
    assert_eq!(ask(&client).await, "200 {}");
    assert!(began.elapsed() > 11 * SECOND && provider.sent() == 3, "together far longer than the limit");
    let began = Instant::now();
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!((provider.sent(), began.elapsed()), (4, 4 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn all_targets_are_tried_again_from_the_first() {
    let provider = Provider::new([]).always("a", status(503)).always("b", status(503));
    let budget = RetryBudget::new(0.1, 20, 10).unwrap();
    let client = retry().budget(budget.clone()).layer(fallback().layer(provider.transport()));
    assert_eq!(ask(&client).await, "503 {}");
    assert_eq!(provider.targets(), "a b a b a b");
    assert_eq!(budget.tokens(), 8.0, "one budget for all targets pays for each round, not for each attempt");
    provider.now("b", status(200));
    let response = head(&client).await.unwrap();
    assert_eq!((outcome(&response), provider.targets().as_str()), (None::<FailureKind>, "a b a b a b a b"));
}
