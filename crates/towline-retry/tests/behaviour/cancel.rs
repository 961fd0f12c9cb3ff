use std::time::Duration;

use http::Request;
use tokio::time::{advance, timeout};
use tower::{Layer, ServiceExt, service_fn};
use towline_core::RetryBudget;
use towline_retry::RetryLayer;

use crate::support::{Answer, Body, Log, provider, request, status, with_headers};

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_waits_sends_nothing_and_gives_its_token_back() {
    let budget = RetryBudget::default();
    let (log, provider) = provider(|_| with_headers(500, &[("retry-after", "5")]));
    let call = RetryLayer::new().budget(budget.clone()).layer(provider).oneshot(request());
    let mut call = tokio_test::task::spawn(call);
    assert!(call.poll().is_pending());
    assert_eq!(budget.tokens(), 9.0, "taken before the wait, so that others do not count on it");
    drop(call);
    advance(Duration::from_secs(60)).await;
    assert_eq!((log.count(), budget.tokens()), (1, 10.0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_sent_is_paid_for_even_if_its_caller_leaves() {
    let (budget, log) = (RetryBudget::default(), Log::default());
    let requests = log.clone();
    let provider = service_fn(move |request: Request<Body>| {
        let nth = requests.note(request);
        async move { if nth == 1 { status(500) } else { std::future::pending::<Answer>().await } }
    });
    let call = RetryLayer::new().budget(budget.clone()).layer(provider).oneshot(request());
    assert!(timeout(Duration::from_secs(60), call).await.is_err());
    assert_eq!((log.count(), budget.tokens()), (2, 9.0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_gets_its_price_back() {
    let budget = RetryBudget::default();
    let (_, provider) = provider(|nth| if nth == 1 { status(500) } else { status(200) });
    let client = RetryLayer::new().budget(budget.clone()).layer(provider);
    client.clone().oneshot(request()).await.unwrap();
    assert_eq!(budget.tokens(), 10.0, "and it pays nothing in: it was no first attempt");
    client.oneshot(request()).await.unwrap();
    assert!((budget.tokens() - 10.1).abs() < 1e-9);
}
