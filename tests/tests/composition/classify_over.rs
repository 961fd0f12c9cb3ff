//! `ClassifyLayer` above another layer: that layer works by status alone, and classify reads what comes out of it.

use tokio::time::Instant;
use tower::Layer;
use towline::{CircuitBreakerLayer, ClassifyLayer, FailureKind, TimeoutLayer};

use crate::{provider::*, support::*};

fn classify() -> ClassifyLayer {
    ClassifyLayer::new()
}

#[tokio::test(start_paused = true)]
async fn what_is_read_of_an_error_is_read_beyond_the_deadline() {
    let provider = Provider::new([status(503).after(SECOND).pause(SECOND).then("}")]);
    let client = classify().layer(call_within(3 * SECOND / 2).layer(provider.transport()));
    let began = Instant::now();
    let response = head(&client).await.unwrap();
    assert_eq!((written(&response), began.elapsed()), (Some(FailureKind::Overloaded), 2 * SECOND));
    assert_eq!(told(Ok(response)).await, "503 {}}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_by_the_status_alone() {
    let spent = || status(429).body(SPENT);
    let provider = Provider::new([status(200).body(HIDDEN), spent(), spent(), spent()]);
    let client = classify().layer(retry().layer(provider.transport()));
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    assert_eq!(provider.sent(), 1, "to the retry, an error in a 200 is a success");
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::QuotaExhausted), "the last answer is read");
    assert_eq!(provider.sent(), 4, "and to the retry, a quota that is used up is a 429 like any other");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_is_a_success_to_the_circuit() {
    let provider = Provider::new([]).always("-", status(200).body(HIDDEN));
    let breaker = CircuitBreakerLayer::new();
    let client = classify().layer(breaker.layer(provider.transport()));
    for _ in 0..4 {
        provider.now("-", status(503));
        head(&client).await.unwrap();
    }
    provider.now("-", status(200).body(HIDDEN));
    for _ in 0..6 {
        assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    }
    provider.now("-", status(503));
    head(&client).await.unwrap();
    assert!(!is_open(&breaker.handle(), None), "it has even ended the run of four");
    assert_eq!(provider.sent(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_limiter_passes_as_it_is() {
    let provider = Provider::new([status(200).body(HIDDEN)]);
    let limiter = limiter(1).max_wait(ms(0));
    let client = classify().layer(limiter.layer(provider.transport()));
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    let refused = head(&client).await.unwrap_err();
    assert_eq!((refused.kind(), refused.failure().hint.retry_after), (FailureKind::LimitedLocally, Some(SECOND)));
    assert_eq!((provider.sent(), limiter.handle().available(None)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silence_within_what_is_read_becomes_the_verdict() {
    let provider = Provider::new([status(200).bodiless().pause(MINUTE), status(503).pause(MINUTE), silence()]);
    let limits = TimeoutLayer::new().head(5 * SECOND).unwrap().idle(SECOND).unwrap();
    let client = classify().layer(limits.layer(provider.transport()));
    let answer = head(&client).await.unwrap();
    assert_eq!(format!("{:?}", written(&answer)), "Some(Timeout(Idle))", "a 200 that went silent at once");
    assert_eq!(told(Ok(answer)).await, "200 then Timeout(Idle)");
    let error = head(&client).await.unwrap();
    assert_eq!(written(&error), Some(FailureKind::Overloaded), "a failed head has said enough");
    assert_eq!(told(Ok(error)).await, "503 then Timeout(Idle)");
    assert_eq!(ask(&client).await, "Timeout(Head)", "without a head there is nothing to read");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_of_the_first_target_is_the_answer() {
    let provider = Provider::new([status(200).body(HIDDEN), status(503), status(200).body(HIDDEN)]);
    let client = classify().layer(fallback().layer(provider.transport()));
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    assert_eq!(provider.targets(), "a", "the fallback saw a 200");
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    assert_eq!(provider.targets(), "a a b");
}
