//! What a successful call allocates above the bare one. Exact and repeatable, so it is asserted; instructions and times are not.

use std::sync::Barrier;

use lab::{BoxError, Stack, stacks};

const CALLS: u64 = 100;

/// The allocations of one call through this stack, above those of the bare call.
fn allocations(name: &str, pends: bool) -> Result<u64, BoxError> {
    let stacks = stacks(name)?;
    let of = |name: &str| {
        let stack = stacks.iter().find(|stack| (stack.name(), stack.pends()) == (name, pends));
        per_call(stack.ok_or_else(|| format!("there is no stack {name}"))?)
    };
    Ok(of(name)? - of(Stack::BARE)?)
}

fn per_call(stack: &Stack) -> Result<u64, BoxError> {
    let run = |calls| stack.run(calls, &Barrier::new(1)).map(drop);
    run(CALLS)?;
    let count = |calls| {
        let mut result = Ok(());
        let counted = allocation_counter::measure(|| result = run(calls));
        result.map(|()| counted.count_total)
    };
    let more = count(2 * CALLS)? - count(CALLS)?;
    assert_eq!(more % CALLS, 0, "{}: each call allocates as much as the others", stack.name());
    Ok(more / CALLS)
}

#[test]
fn classify_breaker_limiter_and_timeout_allocate_nothing() {
    for layer in ["classify", "breaker", "breaker, windowed", "limiter", "timeout"] {
        assert_eq!(allocations(&format!("towline/{layer}"), false).unwrap(), 0, "{layer}");
    }
}

#[test]
fn retry_keeps_the_request_in_one_allocation() {
    assert_eq!(allocations("towline/retry", false).unwrap(), 1);
}

#[test]
fn the_five_layers_allocate_no_more_than_their_retry() {
    assert_eq!(allocations("towline/five", false).unwrap(), 1);
}

#[test]
fn a_call_that_has_to_wait_adds_one_timer() {
    assert_eq!(allocations("towline/timeout", true).unwrap(), 1);
    assert_eq!(allocations("towline/five", true).unwrap(), 2);
    for layer in ["classify", "breaker", "limiter"] {
        assert_eq!(allocations(&format!("towline/{layer}"), true).unwrap(), 0, "{layer}");
    }
}

#[test]
fn targets_that_a_call_does_not_need_cost_one_copy_of_its_head_however_many_they_are() {
    let [one, two, four] = ["1 target", "2 targets", "4 targets"]
        .map(|targets| allocations(&format!("towline/fallback, {targets}"), false).unwrap());
    assert_eq!((two, four), (one + 1, one + 1));
}

#[test]
fn tower_resilience_allocates_eighteen_times_in_six_layers() {
    let six = allocations("tower-resilience/six", false).unwrap();
    assert!(six >= 10, "{six}: is the comparison still fair?");
}
