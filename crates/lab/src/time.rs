//! `lab time`: nanoseconds, which depend on the machine and on who else is at work on it.

use std::{sync::Barrier, thread};

use lab::{BoxError, Stack, stacks};

use crate::table::{self, thousands};

/// Every round takes every stack once, so that a bad moment of the machine is everybody's; what is told is the median.
const ROUNDS: usize = 21;

/// Calls in a round. With two threads, each makes as many.
const CALLS: u64 = 10_000;

/// Nanoseconds per call, round by round.
#[derive(Clone, Default)]
struct Times {
    one: Vec<f64>,
    two: Vec<f64>,
}

pub(crate) fn print(filter: &str) -> Result<(), BoxError> {
    let stacks = stacks(filter)?;
    let mut times = vec![Times::default(); stacks.len()];
    for round in 0..ROUNDS {
        eprint!("\rtaking the time: round {} of {ROUNDS}", round + 1);
        for (stack, times) in stacks.iter().zip(&mut times) {
            times.one.push(took(stack, 1)?);
            times.two.push(took(stack, 2)?);
        }
    }
    eprintln!();
    println!("Nanoseconds per call, medians of {ROUNDS} rounds of {CALLS} calls. Two threads share the layers' state.\n");
    let base = |pends| {
        let found = stacks.iter().zip(&times).find(|(stack, _)| stack.name() == Stack::BARE && stack.pends() == pends);
        found.map_or(0.0, |(_, times)| median(&times.one))
    };
    let rows: Vec<Vec<String>> = stacks.iter().zip(&times).map(|(stack, times)| row(stack, times, base(stack.pends()))).collect();
    table::print(&["stack", "one thread", "above the bare call", "two threads, each", "scaling"], &rows);
    Ok(())
}

fn row(stack: &Stack, times: &Times, base: f64) -> Vec<String> {
    let (one, two) = (median(&times.one), median(&times.two));
    let name = format!("{}{}", stack.name(), if stack.pends() { ", pending" } else { "" });
    vec![name, thousands(one), thousands(one - base), thousands(two), format!("{:.2}", 2.0 * one / two)]
}

/// Nanoseconds per call where so many threads make theirs at the same time.
fn took(stack: &Stack, threads: u16) -> Result<f64, BoxError> {
    let start = Barrier::new(threads.into());
    let took = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| stack.run(CALLS, &start))).collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect::<Result<Vec<_>, _>>()
    })?;
    let nanoseconds: f64 = took.iter().map(|took| took.as_nanos() as f64).sum();
    Ok(nanoseconds / f64::from(threads) / CALLS as f64)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
