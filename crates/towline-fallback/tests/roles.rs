//! Which lists a call is taken to, and who hears of it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;
use towline_core::{Attempt, Call, Facts, Failure, FailureKind, Scope, Target};
use towline_fallback::FallbackLayer;

mod support;

use support::*;

fn layer() -> FallbackLayer {
    FallbackLayer::new(targets(&["a", "b"])).unwrap()
}

fn kind(kind: FailureKind) -> Reply {
    failed(Failure::new(kind))
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_a_larger_window_and_to_no_other() {
    let layer = layer().context_window_targets(targets(&["large", "huge"])).unwrap();
    let too_long =
        |fits: &'static str| move |host: &str| if host == fits { status(200) } else { kind(FailureKind::ContextLength) };
    assert_eq!(ask(&layer, request(), too_long("large")).await.1, ["a", "large"]);
    assert_eq!(ask(&layer, request(), too_long("huge")).await.1, ["a", "large", "huge"]);
    let (answer, asked) = ask(&layer, request(), too_long("none")).await;
    assert_eq!((*answer.unwrap().body(), asked.len()), ("the provider's own words", 3));
}

#[tokio::test]
async fn a_larger_window_is_for_nothing_else() {
    let layer = layer().context_window_targets(targets(&["large"])).unwrap();
    assert_eq!(ask(&layer, request(), |_| status(503)).await.1, ["a", "b"]);
    let then_down = |host: &str| if host == "large" { status(503) } else { kind(FailureKind::ContextLength) };
    let (answer, asked) = ask(&layer, request(), then_down).await;
    assert_eq!((answer.unwrap().status().as_u16(), asked), (400, vec!["a".to_owned(), "large".to_owned()]));
}

#[tokio::test]
async fn a_target_that_has_failed_is_not_asked_again_in_another_role() {
    let layer = layer().context_window_targets(targets(&["a", "large"])).unwrap();
    assert_eq!(ask(&layer, request(), |_| kind(FailureKind::ContextLength)).await.1, ["a", "large"]);
}

#[tokio::test]
async fn a_refusal_is_the_callers_unless_targets_for_it_are_named() {
    let refused = |host: &str| if host == "lenient" { status(200) } else { kind(FailureKind::ContentPolicy) };
    let (answer, asked) = ask(&layer(), request(), refused).await;
    assert_eq!((*answer.unwrap().body(), asked.len()), ("the provider's own words", 1));
    let named = layer().content_policy_targets(targets(&["lenient"])).unwrap();
    assert_eq!(ask(&named, request(), refused).await.1, ["a", "lenient"]);
    let guard = |_: &str| failed(Failure::new(FailureKind::ContentPolicy).scope(Scope::Request));
    assert_eq!(ask(&named, request(), guard).await.1, ["a"], "a guard of the caller's own holds everywhere");
}

#[tokio::test]
async fn a_refusal_by_a_larger_window_is_not_hidden_behind_the_long_prompt() {
    let layer = layer().context_window_targets(targets(&["large"])).unwrap();
    let refused = |host: &str| kind(if host == "large" { FailureKind::ContentPolicy } else { FailureKind::ContextLength });
    let (answer, _) = ask(&layer, request(), refused).await;
    assert_eq!(Target::of(answer.unwrap().extensions()).map(Target::name), Some("large"));
}

#[tokio::test]
async fn a_wrong_request_at_a_larger_window_does_not_hide_the_long_prompt() {
    let layer = layer().context_window_targets(targets(&["large"])).unwrap();
    let wrong = |host: &str| kind(if host == "large" { FailureKind::InvalidRequest } else { FailureKind::ContextLength });
    let (answer, _) = ask(&layer, request(), wrong).await;
    assert_eq!(Target::of(answer.unwrap().extensions()).map(Target::name), Some("a"));
}

#[tokio::test]
async fn each_hook_hears_of_its_own_failures_with_target_and_call() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |what: &'static str| {
        let told = Arc::clone(&told);
        move |target: &Target, failure: &Failure, call: Option<&Call>| {
            told.lock().push(format!("{what}: {} {} {}", target.name(), failure.kind, call.map_or(0, Call::attempts)));
        }
    };
    let layer = layer().auth_moves_on(true).on_auth_failure(tell("auth")).on_refusal(tell("refusal"));
    let call = Call::new(Facts::default(), Instant::now(), None);
    let reply = |host: &str| kind(if host == "a" { FailureKind::Auth } else { FailureKind::ContentPolicy });
    assert_eq!(ask(&layer, with_call(&call), reply).await.1, ["a", "b"]);
    ask(&layer, request(), |_| status(503)).await.0.unwrap();
    assert_eq!(*told.lock(), ["auth: a auth 1", "refusal: b content_policy 2"]);
}

#[tokio::test]
async fn a_key_that_is_wrong_moves_on_only_where_told() {
    let forbidden = |_: &str| status(403);
    assert_eq!(ask(&layer(), request(), |_| status(401)).await.1.len(), 1);
    let moving = layer().auth_moves_on(true);
    assert_eq!(ask(&moving, request(), |_| status(401)).await.1.len(), 2);
    assert_eq!(ask(&moving, request(), forbidden).await.1.len(), 2);
    assert_eq!(ask(&moving, request(), |_| status(400)).await.1.len(), 1);
}

#[tokio::test]
async fn the_word_on_one_target_comes_before_that_on_all() {
    let layer = layer()
        .moves_on(|failure| (failure.kind == FailureKind::Overloaded).then_some(false))
        .moves_on_from("a", |failure| (failure.kind == FailureKind::Overloaded).then_some(true))
        .unwrap();
    assert_eq!(ask(&layer, request(), |_| status(503)).await.1, ["a", "b"]);
    assert_eq!(ask(&layer, request(), |_| status(500)).await.1, ["a", "b"], "the table's");
    assert_eq!(layer.moves_on_from("nobody", |_| None).unwrap_err().field(), "moves_on_from");
}

#[tokio::test]
async fn one_who_says_that_a_long_prompt_moves_on_takes_it_to_any_target() {
    let layer = layer().moves_on(|failure| (failure.kind == FailureKind::ContextLength).then_some(true));
    assert_eq!(ask(&layer, request(), |_| kind(FailureKind::ContextLength)).await.1, ["a", "b"]);
}

#[tokio::test]
async fn weights_share_the_calls_out_and_a_seed_repeats_them() {
    let weighted = |seed| {
        let weigh = |(target, weight): (Target, u32)| target.with_weight(NonZeroU32::new(weight).unwrap());
        FallbackLayer::new(targets(&["a", "b"]).into_iter().zip([9, 1]).map(weigh)).unwrap().seed(seed)
    };
    let mut first = Vec::new();
    for layer in [weighted(1), weighted(1)] {
        let mut asked = String::new();
        for _ in 0..200 {
            asked.push_str(&ask(&layer, request(), |_| status(200)).await.1.concat());
        }
        first.push(asked);
    }
    assert_eq!(first[0], first[1]);
    let seconds = first[0].matches('b').count();
    assert!((8..40).contains(&seconds), "{seconds} of 200");
}

#[tokio::test]
async fn no_further_target_is_tried_after_four_attempts_but_a_second_has_its_turn() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    // A retry beneath, which makes three attempts at each target.
    let thrice = |call: &Call| {
        let call = call.clone();
        move |_: &str| {
            for _ in 0..3 {
                let mut attempt = Attempt::new(Instant::now(), Instant::now());
                attempt.failure = Some(FailureKind::Overloaded);
                call.record(attempt);
            }
            status(503)
        }
    };
    let many = || FallbackLayer::new(targets(&["a", "b", "c", "d", "e", "f"])).unwrap();
    assert_eq!(ask(&many(), with_call(&call), thrice(&call)).await.1, ["a", "b"]);
    let call = Call::new(Facts::default(), Instant::now(), None);
    let nine = many().max_attempts(9).unwrap();
    assert_eq!(ask(&nine, with_call(&call), thrice(&call)).await.1, ["a", "b", "c"]);
    assert_eq!(ask(&many().max_targets(6).unwrap(), request(), |_| status(503)).await.1.len(), 6, "asked for, so allowed");
    let call = Call::new(Facts::default(), Instant::now(), None);
    let three = many().max_attempts(3).unwrap();
    assert_eq!(ask(&three, with_call(&call), thrice(&call)).await.1, ["a"], "no second turn where told so");
    assert_eq!(many().max_attempts(0).unwrap_err().field(), "max_attempts");
}

#[test]
fn a_list_that_nobody_could_come_to_is_refused() {
    let none = FallbackLayer::none();
    assert_eq!(none.clone().context_window_targets(targets(&["a"])).unwrap_err().field(), "context_window_targets");
    assert_eq!(none.content_policy_targets(targets(&["a"])).unwrap_err().field(), "content_policy_targets");
    assert_eq!(layer().context_window_targets(targets(&["c", "c"])).unwrap_err().field(), "context_window_targets");
}
