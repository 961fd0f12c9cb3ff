//! Policies that could never act, each an error that names its field.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroU32, time::Duration};

use towline::{
    AuthorizeLayer, CallLayer, CircuitBreakerLayer, ClassifyLayer, DegradeLayer, FailureKind, FallbackLayer, InvalidConfig,
    Phase, Preset, RateLimitLayer, RetryLayer, Stack, Target, TimeoutLayer,
};

const N: fn(u32) -> NonZeroU32 = |n| NonZeroU32::new(n).unwrap();

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn target(name: &str) -> Target {
    Target::new(name, format!("https://{name}.example.com/v1")).unwrap()
}

fn fallback() -> FallbackLayer {
    FallbackLayer::new(["a", "b"].map(target)).unwrap()
}

/// Two targets, and calls that end after a minute.
fn stack() -> Stack<()> {
    towline::stack(()).fallback(fallback()).call(CallLayer::new().deadline(secs(60)).unwrap())
}

fn wrong(stack: &Stack<()>) -> InvalidConfig {
    stack.build().map(drop).unwrap_err()
}

#[test]
fn what_nobody_said_is_never_wrong() {
    assert!(stack().build().is_ok(), "an attempt may by default take longer than these calls");
    assert!(towline::stack(()).build().is_ok());
    assert!(towline::stack(()).attempt_timeout(TimeoutLayer::reasoning()).build().is_ok(), "streams are held for as long");
}

#[test]
fn a_policy_that_could_never_act_is_an_error_which_names_its_field() {
    let retry = RetryLayer::new;
    let breaker = CircuitBreakerLayer::new;
    let slow = target("slow").with_timeout(Phase::Head, secs(60)).unwrap();
    let rate = RateLimitLayer::requests_per_minute(N(6));
    let late = |ms| TimeoutLayer::new().first_content(Duration::from_millis(ms)).unwrap();
    let never = |failure: &towline::Failure| (failure.kind == FailureKind::ContextLength).then_some(false);
    let large = || fallback().context_window_targets([target("large")]).unwrap();
    let cases: [(&str, Stack<()>); 19] = [
        ("head", stack().attempt_timeout(TimeoutLayer::attempt().head(secs(60)).unwrap())),
        ("first_content", stack().attempt_timeout(late(60_000))),
        ("total", stack().call_timeout(TimeoutLayer::new().total(secs(61)).unwrap())),
        ("with_timeout", stack().targets([slow]).unwrap()),
        ("backoff", stack().retry(retry().backoff(secs(1), secs(60)).unwrap())),
        ("throttle_backoff", stack().retry(retry().throttle_backoff(secs(1), secs(90)).unwrap())),
        ("backoff", stack().retry(retry().backoff(secs(1), secs(2)).unwrap().attempts(1).unwrap())),
        ("max_server_delay", stack().retry(retry().max_server_delay(secs(120)))),
        ("max_attempts", stack().retry(retry().attempts(5).unwrap()).fallback(fallback().max_attempts(4).unwrap())),
        ("wait_for_recovery", towline::stack(()).fallback(FallbackLayer::none().wait_for_recovery(secs(9)))),
        ("context_window_targets", stack().fallback(large().moves_on(never))),
        ("hold_up_to", stack().attempt_timeout(late(10_000)).classify(ClassifyLayer::new().hold_up_to(9, 9, secs(5)))),
        ("limits_for", stack().rate_limit(rate.clone().limits_for("c", towline::Limits::none()))),
        ("settings_for", stack().circuit_breaker(breaker().settings_for("c", breaker()))),
        ("failures_in", stack().rate_limit(rate.clone()).circuit_breaker(breaker().failures_in(20, secs(60)).unwrap())),
        ("failure_ratio", stack().rate_limit(rate.clone()).circuit_breaker(breaker().failure_ratio(0.5, secs(60), 20).unwrap())),
        ("limited_for", stack().authorize(AuthorizeLayer::new().limited_for(secs(1)))),
        ("degrades", stack().degrade(DegradeLayer::new().degrades(|_| Some(true)))),
        ("content_policy_targets", {
            let legal = towline::stack(()).preset(Preset::legal()).on_refusal(|_, _, _| {});
            legal.targets([target("a")]).unwrap().content_policy_targets([target("lax")]).unwrap()
        }),
    ];
    for (field, stack) in cases {
        let error = wrong(&stack);
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn a_targets_total_may_be_longer_than_the_calls_of_one_stack() {
    let slow = target("slow").with_timeout(Phase::Total, secs(120)).unwrap();
    assert!(stack().targets([slow]).unwrap().build().is_ok());
}

#[test]
fn an_error_names_the_value_and_what_would_be_right() {
    let told = wrong(&stack().attempt_timeout(TimeoutLayer::new().head(secs(90)).unwrap())).to_string();
    assert_eq!(
        told,
        "invalid configuration: `head` is 1 min 30 s, and a call ends after 1 min, so that it never passes; say less"
    );
    let told = wrong(&stack().retry(RetryLayer::new().attempts(5).unwrap()).fallback(fallback().max_attempts(4).unwrap()));
    assert_eq!(
        told.to_string(),
        "invalid configuration: `max_attempts` is 4, and \"a\" alone takes 5 attempts, so that no other target has its turn; \
         say 6 at least"
    );
}

#[test]
fn what_is_said_after_a_preset_overrules_it() {
    let chat = || towline::stack(()).targets(["a", "b"].map(target)).unwrap().preset(Preset::chat());
    assert!(chat().build().is_ok());
    let short = chat().call(CallLayer::new().deadline(secs(20)).unwrap());
    assert_eq!(wrong(&short).field(), "head", "the preset's 30 s for a head are then too long");
    assert!(short.attempt_timeout(TimeoutLayer::chat().head(secs(5)).unwrap()).build().is_ok());
}

#[test]
fn layers_that_stacks_share_may_name_targets_of_them_all() {
    let breaker = CircuitBreakerLayer::new().settings_for("elsewhere", CircuitBreakerLayer::new());
    let stack = stack().circuit_breaker(breaker);
    assert_eq!(wrong(&stack).field(), "settings_for");
    assert!(stack.shared_with(["elsewhere"]).build().is_ok());
}
