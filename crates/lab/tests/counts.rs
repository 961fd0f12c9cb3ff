//! What a successful call allocates above the bare one. Exact and repeatable, so it is asserted; instructions and times are not.

use std::sync::Barrier;

use lab::{Stack, stacks};

const CALLS: u64 = 100;

/// The allocations of one call through this stack, above those of the bare call.
fn allocations(name: &str, pends: bool) -> u64 {
    let stacks = stacks(name).unwrap();
    let of = |name: &str| {
        let stack = stacks.iter().find(|stack| (stack.name(), stack.pends()) == (name, pends));
        per_call(stack.unwrap_or_else(|| panic!("there is no stack {name}")))
    };
    of(name) - of(Stack::BARE)
}

fn per_call(stack: &Stack) -> u64 {
    let run = |calls| {
        stack.run(calls, &Barrier::new(1)).unwrap();
    };
    run(CALLS);
    let [few, many] = [CALLS, 2 * CALLS].map(|calls| allocation_counter::measure(|| run(calls)).count_total);
    assert_eq!((many - few) % CALLS, 0, "{}: each call allocates as much as the others", stack.name());
    (many - few) / CALLS
}

#[test]
fn classify_breaker_limiter_and_timeout_allocate_nothing() {
    for layer in ["classify", "breaker", "breaker, windowed", "limiter", "timeout"] {
        assert_eq!(allocations(&format!("towline/{layer}"), false), 0, "{layer}");
    }
}

#[test]
fn retry_keeps_the_request_in_one_allocation() {
    assert_eq!(allocations("towline/retry", false), 1);
}

#[test]
fn the_five_layers_allocate_no_more_than_their_retry() {
    assert_eq!(allocations("towline/five", false), 1);
}

#[test]
fn a_call_that_has_to_wait_adds_one_timer() {
    assert_eq!(allocations("towline/timeout", true), 1);
    assert_eq!(allocations("towline/five", true), 2);
    for layer in ["classify", "breaker", "limiter"] {
        assert_eq!(allocations(&format!("towline/{layer}"), true), 0, "{layer}");
    }
}

#[test]
fn targets_that_a_call_does_not_need_cost_one_copy_of_its_head_however_many_they_are() {
    let [one, two, four] =
        ["1 target", "2 targets", "4 targets"].map(|targets| allocations(&format!("towline/fallback, {targets}"), false));
    assert_eq!((two, four), (one + 1, one + 1));
}

#[test]
fn tower_resilience_allocates_eighteen_times_in_six_layers() {
    let six = allocations("tower-resilience/six", false);
    assert!(six >= 10, "{six}: is the comparison still fair?");
}
