//! `TimeoutLayer` above another layer: all that happens beneath it shares its limits.

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline::{CallLayer, CircuitBreakerLayer, CircuitState, ClassifyLayer, TimeoutLayer};

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn it_knows_neither_the_deadline_nor_that_a_stream_was_asked_for() {
    let provider = Provider::new([silence(), status(200).pause(MINUTE)]);
    let totals = TimeoutLayer::new().total(SECOND).unwrap().stream_total(8 * SECOND).unwrap();
    let client = totals.layer(CallLayer::new().layer(provider.transport()));
    let began = Instant::now();
    assert_eq!(told(client.oneshot(streaming()).await).await, "Timeout(Total)");
    assert_eq!(began.elapsed(), SECOND, "the total of a document");
    let client = TimeoutLayer::new().layer(call_within(SECOND).layer(provider.transport()));
    let began = Instant::now();
    assert_eq!(ask(&client).await, "200 {}", "a body that is late for the deadline is not cut");
    assert_eq!(began.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn the_limit_on_the_head_is_one_on_the_first_content() {
    let pings = || stream().then(PING).pause(SECOND).then(PING).pause(SECOND).then(CONTENT).pause(SECOND).then(DONE);
    let provider = Provider::new([pings(), pings()]);
    let classify = ClassifyLayer::new().layer(provider.transport());
    assert_eq!(ask(&timeout(3 * SECOND / 2).layer(classify.clone())).await, "Timeout(Head)", "though it answered at once");
    let began = Instant::now();
    let response = head(&timeout(5 * SECOND / 2).layer(classify)).await.unwrap();
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!(told(Ok(response)).await, format!("200 {PING}{PING}{CONTENT}{DONE}"));
}

#[tokio::test(start_paused = true)]
async fn all_attempts_share_the_limit() {
    let late = || status(503).after(3 * SECOND).retry_after("0");
    let provider = Provider::new([late(), late(), status(503).retry_after("30")]);
    let client = timeout(5 * SECOND).layer(retry().layer(provider.transport()));
    let began = Instant::now();
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!((began.elapsed(), provider.sent(), provider.report().dropped()), (5 * SECOND, 2, 1), "the second was cut short");
    assert_eq!(ask(&client).await, "Timeout(Head)", "an answer that is there is lost with the wait that follows it");
    assert_eq!((began.elapsed(), provider.sent()), (10 * SECOND, 3));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_hears_of_a_drop_only_where_it_was_told_the_limit() {
    let provider = Provider::new([]).always("-", silence());
    let deaf = CircuitBreakerLayer::new();
    let told = deaf.clone().drops_after(SECOND);
    let client = timeout(SECOND).layer(deaf.layer(provider.transport()));
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "Timeout(Head)");
    }
    assert_eq!(deaf.handle().state(None), CircuitState::Closed);
    let client = timeout(SECOND).layer(told.layer(provider.transport()));
    for _ in 0..5 {
        assert_eq!(ask(&client).await, "Timeout(Head)");
    }
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((provider.sent(), provider.report().dropped()), (15, 15));
}

#[tokio::test(start_paused = true)]
async fn within_a_call_the_breaker_hears_of_a_timeout_in_either_order() {
    let stalls = || stream().then(CONTENT).then(CONTENT).pause(60 * MINUTE);
    for (reply, told_of) in [(silence(), "Timeout(Head)"), (stalls(), "Timeout(Idle)")] {
        for beneath in [true, false] {
            let provider = Provider::new([]).always("-", reply.clone());
            let (breaker, limits) = (CircuitBreakerLayer::new(), TimeoutLayer::attempt());
            let circuits = breaker.handle();
            for _ in 0..5 {
                assert_eq!(circuits.state(None), CircuitState::Closed);
                let end = if beneath {
                    ask(&CallLayer::new().layer(breaker.layer(limits.layer(provider.transport())))).await
                } else {
                    ask(&CallLayer::new().layer(limits.layer(breaker.layer(provider.transport())))).await
                };
                assert!(end.ends_with(told_of), "{end}");
            }
            assert!(is_open(&circuits, None), "{told_of}, beneath: {beneath}");
            assert_eq!((provider.sent(), provider.report().live()), (5, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_before_the_limit_opens_no_circuit_beneath_it() {
    let provider = Provider::new([]).always("-", silence());
    let breaker = CircuitBreakerLayer::new();
    let client = CallLayer::new().layer(TimeoutLayer::attempt().layer(breaker.layer(provider.transport())));
    for _ in 0..20 {
        tokio::time::timeout(119 * SECOND, ask(&client)).await.unwrap_err();
    }
    assert_eq!((breaker.handle().state(None), provider.sent()), (CircuitState::Closed, 20));
}

#[tokio::test(start_paused = true)]
async fn the_time_in_line_counts_and_who_leaves_frees_the_place() {
    let provider = Provider::new([]);
    let limiter = limiter(1);
    let client = timeout(SECOND / 2).layer(limiter.layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!((provider.sent(), limiter.handle().waiting(None)), (1, 0), "a timeout of a provider that was not asked");
    assert_eq!(ask(&client).await, "200 {}", "no token was lost with it");
    assert_eq!(provider.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_targets_share_the_limit() {
    let provider = Provider::new([]).always("a", silence());
    let client = timeout(2 * SECOND).layer(fallback().layer(provider.transport()));
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!(provider.targets(), "a", "the first one has used up the time of the second");
    provider.now("a", status(503).after(SECOND));
    provider.now("b", status(200).after(3 * SECOND / 2));
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!((provider.targets().as_str(), provider.report().dropped()), ("a a b", 2), "or cut it short");
}
