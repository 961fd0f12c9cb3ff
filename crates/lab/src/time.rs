//! `lab time`: nanoseconds, which depend on the machine and on who else is at work on it.

use std::{collections::BTreeMap, sync::Barrier, thread};

use lab::{BoxError, Stack, stacks};

use crate::table::{self, thousands};

/// Every round takes every stack once, so that a bad moment of the machine is everybody's.
const ROUNDS: usize = 41;

/// Calls in a round, few enough for some rounds to be disturbed by nobody. With two threads, each makes as many.
const CALLS: u64 = 10_000;

/// Nanoseconds per call in the best round, by stack, whether its service pends, and threads. The others tell of the machine.
type Times = BTreeMap<(&'static str, bool, usize), f64>;

pub(crate) fn print(filter: &str) -> Result<(), BoxError> {
    let stacks = stacks(filter)?;
    let mut times = Times::new();
    for round in 0..ROUNDS {
        eprint!("\rtaking the time: round {} of {ROUNDS}", round + 1);
        for stack in &stacks {
            for threads in if stack.pends() { 1..=1 } else { 1..=2 } {
                let best = times.entry((stack.name(), stack.pends(), threads)).or_insert(f64::INFINITY);
                *best = best.min(took(stack, threads)?);
            }
        }
    }
    eprintln!();
    println!("Nanoseconds per call, the best of {ROUNDS} rounds of {CALLS} calls. Two threads share what the layers keep.\n");
    let rows: Vec<_> = stacks.iter().filter(|stack| !stack.pends()).map(|stack| row(&times, stack.name())).collect();
    table::print(&["stack", "ns", "above the bare call", "above it, pending", "two threads, ns each", "scaling"], &rows);
    Ok(())
}

fn row(times: &Times, name: &'static str) -> Vec<String> {
    let of = |name, pends, threads| times.get(&(name, pends, threads)).copied().unwrap_or(f64::NAN);
    let above = |pends| match name {
        Stack::BARE => "-".to_owned(),
        _ => thousands(of(name, pends, 1) - of(Stack::BARE, pends, 1)),
    };
    let (one, two) = (of(name, false, 1), of(name, false, 2));
    vec![name.to_owned(), thousands(one), above(false), above(true), thousands(two), format!("{:.2}", 2.0 * one / two)]
}

/// Nanoseconds per call where so many threads make theirs at the same time, from the first one's beginning to the last one's end.
fn took(stack: &Stack, threads: usize) -> Result<f64, BoxError> {
    let start = Barrier::new(threads);
    let times = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| stack.run(CALLS, &start))).collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect::<Result<Vec<_>, _>>()
    })?;
    let began = times.iter().map(|time| time.start).min().ok_or("nobody ran")?;
    let took = times.iter().map(|time| time.end.saturating_duration_since(began)).max().unwrap_or_default();
    Ok(took.as_nanos() as f64 / CALLS as f64)
}
