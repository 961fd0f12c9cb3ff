//! A stack as a person reads it, word for word.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use towline::{
    Cache, CircuitBreakerLayer, Credential, DegradeLayer, Dialect, FailureKind, FallbackLayer, Limits, Phase, Preset, Price,
    RateLimitLayer, Target,
};

const N: fn(u32) -> NonZeroU32 = |n| NonZeroU32::new(n).unwrap();

fn target(name: &str) -> Target {
    Target::new(name, format!("https://{name}.example.com/v1")).unwrap()
}

fn keys(first: &str) -> [Credential; 2] {
    [first, "sk-hidden-two"].map(|key| Credential::bearer(key).unwrap())
}

/// Asserts that `told` is what the file of this name holds; run with `BLESS` set, it writes the file.
fn assert_told(name: &str, told: &str) {
    let path = format!("{}/tests/explain/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(&path).unwrap(), "{path}");
    assert!(!told.contains("sk-hidden"), "a secret is told");
}

#[test]
fn a_stack_of_a_preset_is_told_whole() {
    let claude =
        target("anthropic").with_dialect(Dialect::Anthropic).with_model("claude-sonnet-4-6").with_keys(keys("sk-hidden-one"));
    let gpt =
        target("openai").with_model("gpt-5").with_attempts(N(1)).with_timeout(Phase::Head, Duration::from_secs(20)).unwrap();
    let small = target("small").with_credential(Credential::query("key", "sk-hidden-three").unwrap());
    let stack = towline::stack(())
        .preset(Preset::chat())
        .targets([claude, gpt.with_price(Price::per_million(1.25, 10.0).unwrap()), small])
        .unwrap()
        .limits(Limits::none().requests_per_minute(N(600)).tokens_per_minute(NonZeroU64::new(90_000).unwrap()));
    assert_told("chat", &stack.explain());
    stack.build().map(drop).unwrap();
    assert_told("chat", &stack.explain());
}

#[test]
fn a_stack_of_single_layers_is_told_whole() {
    let fallback = FallbackLayer::new([target("a").with_weight(N(3)), target("b").with_weight(N(1))])
        .unwrap()
        .context_window_targets([target("large")])
        .unwrap()
        .moves_on_from("b", |failure| (failure.kind == FailureKind::ServerError).then_some(false))
        .unwrap()
        .auth_moves_on(true)
        .spill_over(0.25, 20)
        .unwrap()
        .sticky(|head| Some(head.headers.get("x-session")?.to_str().ok()?.into()), Duration::from_secs(300))
        .on_refusal(|_, _, _| {})
        .answer_headers(true);
    let cache = Cache::new(std::num::NonZeroUsize::MIN, Duration::from_secs(1800));
    let stack = towline::stack(())
        .fallback(fallback)
        .circuit_breaker(CircuitBreakerLayer::new().settings_for(
            "b",
            CircuitBreakerLayer::new().failures_in(3, Duration::from_secs(30)).unwrap().without_failure_ratio().unwrap(),
        ))
        .rate_limit(RateLimitLayer::requests_per_minute(N(60)).limits_for("b", Limits::none().concurrency(N(2))))
        .degrade(DegradeLayer::new().cache(cache).answer("not now"));
    assert_told("layers", &stack.explain());
}

#[test]
fn a_stack_that_cannot_be_built_says_why() {
    let stack = towline::stack(()).preset(Preset::legal()).targets([target("a")]).unwrap();
    let told = stack.explain();
    let last = told.lines().last().unwrap();
    assert_eq!(last.trim(), format!("cannot be built: {}", stack.build().map(drop).unwrap_err()));
    assert!(told.contains("    primary: \"a\"\n    one step down: nobody\n    reviewer: nobody\n"), "{told}");
}
