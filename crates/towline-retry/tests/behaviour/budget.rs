use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline_core::{Failure, FailureKind, RetryBudget, Target};
use towline_retry::RetryLayer;

use crate::support::{Answer, ask, error, provider, request, status, with_headers};

/// The rules of the budget and of three attempts, said plainly, in fractions of tokens and seconds.
struct Model {
    tokens: f64,
    dry_since: f64,
}

impl Model {
    fn take(&mut self, cost: f64, now: f64) -> bool {
        let mut tokens = self.tokens;
        if tokens < 1.0 - 1e-9 && now - self.dry_since >= 10.0 - 1e-6 {
            tokens += 1.0;
        }
        if tokens + 1e-9 < cost {
            return false;
        }
        if tokens - cost < 1.0 - 1e-9 && tokens >= 1.0 - 1e-9 {
            self.dry_since = now;
        }
        self.tokens = tokens - cost;
        true
    }

    fn put(&mut self, amount: f64) {
        self.tokens = (self.tokens + amount).min(20.0);
    }

    /// A call whose first `failures` attempts fail at the times of `at`; returns how many it makes.
    fn call(&mut self, failures: usize, cost: f64, at: &[f64]) -> usize {
        let mut sent = 1;
        while sent <= failures {
            if sent == 3 || !self.take(cost, at[sent - 1]) {
                return sent;
            }
            sent += 1;
        }
        self.put(if sent == 1 { 0.1 } else { cost });
        sent
    }
}

#[derive(Clone, Copy, Debug)]
struct Script {
    failures: usize,
    throttled: bool,
    pause: u64,
}

fn failing(throttled: bool) -> Answer {
    if throttled { with_headers(429, &[("retry-after-ms", "5")]) } else { status(500) }
}

proptest! {
    #[test]
    fn attempts_and_tokens_agree_with_the_plain_rules(
        calls in proptest::collection::vec((0..4_usize, any::<bool>(), 0..3000_u64), 1..60),
        initial in 0..6_u32,
    ) {
        let calls = calls.into_iter().map(|(failures, throttled, pause)| Script { failures, throttled, pause });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let began = Instant::now();
            let budget = RetryBudget::new(0.1, 20, initial).unwrap();
            let layer = RetryLayer::new().budget(budget.clone()).seed(3);
            let mut model = Model { tokens: f64::from(initial), dry_since: 0.0 };
            for script in calls {
                tokio::time::advance(Duration::from_millis(script.pause)).await;
                let (log, provider) = provider(move |nth| if nth <= script.failures { failing(script.throttled) } else { status(200) });
                let _ = ask(layer.layer(provider)).await;
                // It answers at once, so an attempt fails when it is sent; the book's clock is as fine as a tenth of a second.
                let at: Vec<_> = log.times().iter().map(|at| ((*at - began).as_secs_f64() * 10.0 + 1e-6).floor() / 10.0).collect();
                let expected = model.call(script.failures, if script.throttled { 0.35 } else { 1.0 }, &at);
                prop_assert_eq!(log.count(), expected, "{:?} with {} tokens", script, model.tokens);
                prop_assert!((budget.tokens() - model.tokens).abs() < 1e-6, "{} instead of {}", budget.tokens(), model.tokens);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_retries_end_when_the_budget_is_used_up() {
    let (log, provider) = provider(|_| status(500));
    let client = RetryLayer::new().layer(provider);
    for _ in 0..1000 {
        assert_eq!(ask(client.clone()).await.0.unwrap().status(), 500);
    }
    // Ten tokens at first; the calls take no time once there are none, and the trickle is one in ten seconds.
    assert!((1010..=1012).contains(&log.count()), "{}", log.count());
}

/// How often a target is asked that answers so each time.
async fn sent_to(layer: &RetryLayer, target: &str, code: u16) -> usize {
    let (log, provider) = provider(move |_| status(code));
    let mut request = request();
    request.extensions_mut().insert(Target::new(target, "http://host").unwrap());
    let _ = layer.layer(provider).oneshot(request).await;
    log.count()
}

#[tokio::test(start_paused = true)]
async fn each_target_has_a_budget_of_its_own_that_its_successes_pay_for() {
    let layer = RetryLayer::new().budget(RetryBudget::new(1.0, 10, 1).unwrap());
    assert_eq!(sent_to(&layer, "one", 500).await, 2);
    assert_eq!(sent_to(&layer, "one", 500).await, 1);
    assert_eq!(sent_to(&layer, "two", 500).await, 2);
    sent_to(&layer, "two", 200).await;
    assert_eq!(sent_to(&layer, "one", 500).await, 1);
    assert_eq!(sent_to(&layer, "two", 500).await, 2);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_and_of_its_clones_share_the_budget() {
    let layer = RetryLayer::new().budget(RetryBudget::new(0.1, 10, 1).unwrap());
    let mut sent = Vec::new();
    for layer in [layer.clone(), layer.clone(), layer] {
        let (log, provider) = provider(|_| status(500));
        let _ = ask(layer.layer(provider)).await;
        sent.push(log.count());
    }
    assert_eq!(sent, [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_layer_beneath_refused_costs_nothing() {
    for (kind, left) in [
        (FailureKind::CircuitOpen, 10.0),
        (FailureKind::LimitedLocally, 10.0),
        // It may have been under way, and so may one whose connection was lost.
        (FailureKind::DeadlineExceeded, 9.0),
        (FailureKind::Transport, 9.0),
    ] {
        let budget = RetryBudget::default();
        let (log, provider) = provider(move |nth| if nth == 1 { status(500) } else { error(Failure::new(kind)) });
        let client = RetryLayer::new().attempts(2).unwrap().budget(budget.clone()).layer(provider);
        assert_eq!(ask(client).await.0.unwrap_err().kind(), kind);
        assert_eq!((log.count(), budget.tokens()), (2, left), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_call_may_be_tried_thrice() {
    let (log, provider) = provider(|_| status(500));
    let client = RetryLayer::new().without_budget().layer(provider);
    for _ in 0..100 {
        let _ = ask(client.clone()).await;
    }
    assert_eq!(log.count(), 300);
}
