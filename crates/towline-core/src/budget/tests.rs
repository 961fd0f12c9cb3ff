use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn failure() -> Failure {
    Failure::new(FailureKind::ServerError)
}

/// The rules, said plainly: fractions of a token as floats, one thing after the other.
struct Model {
    tokens: f64,
    since: f64,
    cap: f64,
}

impl Model {
    fn take(&mut self, cost: f64, now: f64) -> bool {
        if self.tokens < 1.0 - 1e-9 && now - self.since >= 10.0 - 1e-9 {
            self.tokens = (self.tokens + 1.0).min(self.cap);
        }
        let before = self.tokens;
        if before + 1e-9 < cost {
            return false;
        }
        self.tokens -= cost;
        if self.tokens < 1.0 - 1e-9 && before >= 1.0 - 1e-9 {
            self.since = now;
        }
        true
    }
}

#[derive(Clone, Debug)]
enum Step {
    Success,
    Retry { throttled: bool, end: u8 },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Success),
        4 => (any::<bool>(), 0..3_u8).prop_map(|(throttled, end)| Step::Retry { throttled, end }),
        1 => (0..300_u64).prop_map(|tenths| Step::Wait(tenths * 100)),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn the_books_agree_with_the_plain_rules(steps in steps(), per_success in 1..=1000_u32, cap in 1..50_u32, initial in 0..50_u32) {
        let initial = initial.min(cap);
        let budget = RetryBudget::new(f64::from(per_success) / 1000.0, cap, initial).unwrap();
        let mut now = budget.0.began;
        let mut model = Model { tokens: f64::from(initial), since: 0.0, cap: f64::from(cap) };
        for step in steps {
            match step {
                Step::Success => {
                    budget.succeeded();
                    model.tokens = (model.tokens + f64::from(per_success) / 1000.0).min(f64::from(cap));
                }
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Retry { throttled, end } => {
                    let (failure, cost) = if throttled {
                        (Failure::new(FailureKind::RateLimited).retry_after(Duration::from_secs(1)), 0.35)
                    } else {
                        (failure(), 1.0)
                    };
                    let at = (now - budget.0.began).as_secs_f64();
                    // A trickle that did not suffice is not written down by either: the model takes it back too.
                    let (tokens, since) = (model.tokens, model.since);
                    let expected = model.take(cost, at);
                    if !expected {
                        (model.tokens, model.since) = (tokens, since);
                    }
                    let withdrawal = budget.withdraw(&failure, now);
                    prop_assert_eq!(withdrawal.is_some(), expected, "at {} with {} tokens", at, tokens);
                    let Some(mut withdrawal) = withdrawal else { continue };
                    let back = |model: &mut Model| model.tokens = (model.tokens + cost).min(f64::from(cap));
                    match end {
                        0 => { drop(withdrawal); back(&mut model) }
                        1 => { withdrawal.spend(); drop(withdrawal) }
                        _ => { withdrawal.spend(); withdrawal.succeeded(); back(&mut model) }
                    }
                }
            }
            prop_assert!((budget.tokens() - model.tokens).abs() < 1e-6, "{} instead of {}", budget.tokens(), model.tokens);
        }
    }
}

#[test]
fn fractions_are_exact() {
    for (per_success, successes) in [(0.3, 10), (0.9, 10), (0.001, 1000)] {
        let budget = RetryBudget::new(per_success, 100, 0).unwrap();
        (0..successes).for_each(|_| budget.succeeded());
        let expected = per_success * f64::from(successes);
        assert!((budget.tokens() - expected).abs() < 1e-9, "{per_success}: {}", budget.tokens());
    }
}

#[test]
fn a_total_outage_costs_what_was_saved_and_a_trickle() {
    let budget = RetryBudget::default();
    let mut sent = 0;
    for second in 0..600 {
        let now = budget.0.began + Duration::from_secs(second);
        while let Some(mut retry) = budget.withdraw(&failure(), now) {
            retry.spend();
            sent += 1;
        }
    }
    // Ten that were saved, and one for each ten seconds since those were gone.
    assert!((60..=71).contains(&sent), "{sent}");
}

#[test]
fn a_fleet_of_idle_processes_does_not_multiply_the_budget() {
    // A thousand processes with a call each ten seconds, half of which fail, each worth two retries.
    let template = RetryBudget::default();
    let fleet: Vec<_> = (0..1000).map(|_| template.for_fleet(NonZeroU32::new(1000).unwrap())).collect();
    let (mut calls, mut retries) = (0, 0);
    for round in 1..=60_u64 {
        for (nth, budget) in fleet.iter().enumerate() {
            let now = budget.0.began + Duration::from_secs(round * 10);
            calls += 1;
            if (nth as u64 + round).is_multiple_of(2) {
                budget.succeeded();
                continue;
            }
            for _ in 0..2 {
                if let Some(mut retry) = budget.withdraw(&failure(), now) {
                    retry.spend();
                    retries += 1;
                }
            }
        }
    }
    let load = f64::from(calls + retries) / f64::from(calls);
    assert!(load <= 1.15 && retries > 0, "{load}");
}

#[test]
fn threads_neither_lose_nor_make_tokens() {
    let budget = RetryBudget::new(1.0, 1_000_000, 0).unwrap();
    let now = budget.0.began;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50_000 {
                    budget.succeeded();
                    let withdrawn = (n % 2 == 0).then(|| budget.withdraw(&failure(), now)).flatten();
                    if let Some(mut retry) = withdrawn {
                        retry.spend();
                    }
                }
            });
        }
    });
    // Each thread pays in before it takes, so no withdrawal was refused.
    assert_eq!(budget.tokens(), 100_000.0);
}

#[test]
fn a_full_budget_overflows_nothing() {
    let budget = RetryBudget::new(1.0, 1_000_000, 1_000_000).unwrap();
    (0..1_000_000).for_each(|_| budget.succeeded());
    assert_eq!(budget.tokens(), 1_000_000.0);
}

#[test]
fn nonsense_is_refused_by_name() {
    assert_eq!(RetryBudget::new(0.0, 10, 1).unwrap_err().field(), "per_success");
    assert_eq!(RetryBudget::new(f64::NAN, 10, 1).unwrap_err().field(), "per_success");
    assert_eq!(RetryBudget::new(0.1, 0, 0).unwrap_err().field(), "cap");
    assert_eq!(RetryBudget::new(0.1, 5, 6).unwrap_err().field(), "initial");
}
