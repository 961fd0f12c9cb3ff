//! Limits in requests and tokens.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use http_body_util::Full;
use towline::{Dimension, FailureKind as K, Limits, RateLimitLayer, RetryLayer};
use towline_testkit::Dialect;
use towline_tests::hyper;

use crate::support::{Pair, SECOND, chat};

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// 663 tokens were let through where 100 a minute were allowed.
#[tokio::test(start_paused = true)]
async fn litellm_18730_tokens_are_reserved_before_they_are_spent() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let layer = RateLimitLayer::new(Limits::none().tokens_per_minute(NonZeroU64::new(100).unwrap()));
    let layer = layer.share(1.0).unwrap().token_burst(NonZeroU64::new(100).unwrap()).max_wait(Duration::ZERO);
    let first = [pair.target("first", &pair.first)];
    let service = towline::stack(hyper()).targets(first).unwrap().rate_limit(layer.clone()).build().unwrap();
    let ask = |tokens: u32| chat(false).map(|_| Full::from(format!(r#"{{"model":"m","max_tokens":{tokens},"messages":[]}}"#)));

    let got = pair.ask(&service, ask(663)).await;
    let refused = (got.error, got.retry_after, pair.first.hits());
    assert_eq!(refused, (Some(K::LimitedLocally), None, 0), "it would never fit, so no time is named");
    // Two at once that do not fit together: one of them is sent.
    let both = async { tokio::join!(towline_tests::ask(service.clone(), ask(60)), towline_tests::ask(service.clone(), ask(60))) };
    let (one, other) = pair.clock.drive(SECOND / 100, both).await;
    assert_eq!((one.status, other.error, pair.first.hits()), (200, Some(K::LimitedLocally), 1));
    // What came back says what was really spent: 12 of the prompt and 60 of the answer.
    let left = layer.handle().left(Some("first"), Dimension::Tokens).unwrap();
    assert!(left <= 40, "{left} left of 100");
}

/// A limit was kept once for each replica, since each looked at its own memory.
#[tokio::test(start_paused = true)]
async fn litellm_40291_all_services_of_one_stack_keep_one_limit_together() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let layer = RateLimitLayer::requests_per_minute(n(60)).share(1.0).unwrap().burst(n(5)).max_wait(Duration::ZERO);
    let stack = towline::stack(hyper()).targets([pair.target("first", &pair.first)]).unwrap().rate_limit(layer);
    let replicas: Vec<_> = (0..4).map(|_| stack.build().unwrap()).collect();
    let mut passed = 0;
    for _ in 0..5 {
        for replica in &replicas {
            passed += usize::from(pair.ask(replica, chat(false)).await.status == 200);
        }
    }
    assert_eq!((passed, pair.first.hits()), (5, 5), "and not twenty");
}

/// Each request set the end of the window anew, so that it never came.
#[tokio::test(start_paused = true)]
async fn litellm_14204_requests_that_are_refused_do_not_push_the_window_back() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let layer = RateLimitLayer::requests_per_minute(n(60)).share(1.0).unwrap().max_wait(Duration::ZERO);
    let stack = towline::stack(hyper()).targets([pair.target("first", &pair.first)]).unwrap().rate_limit(layer);
    let service = stack.retry(RetryLayer::new().attempts(1).unwrap()).build().unwrap();
    let began = tokio::time::Instant::now();
    let mut refused = 0;
    while began.elapsed() < 20 * SECOND {
        refused += usize::from(pair.ask(&service, chat(false)).await.status == 0);
        pair.wait(SECOND / 4).await;
    }
    let passed = pair.first.hits();
    assert!((18..=21).contains(&passed) && refused > 40, "{passed} of one a second, {refused} refused");
}
