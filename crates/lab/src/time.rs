//! `lab time`: nanoseconds, which depend on the machine and on who else is at work on it.

use std::{sync::Barrier, thread};

use lab::{BoxError, Stack, stacks};

use crate::table::{self, thousands};

/// Every round takes every stack once, so that a bad moment of the machine is everybody's.
const ROUNDS: usize = 41;

/// Calls in a round: few enough for some rounds to be disturbed by nobody. With two threads, each makes as many.
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
    println!(
        "Nanoseconds per call: the best and the median of {ROUNDS} rounds of {CALLS} calls. The rest is about the best. Two threads share"
    );
    println!("what the layers keep. \"Pending\": the service is pending once in each call.\n");
    let bare = |pends| {
        let found = stacks.iter().zip(&times).find(|(stack, _)| stack.name() == Stack::BARE && stack.pends() == pends);
        found.map_or(0.0, |(_, times)| best(&times.one))
    };
    let rows: Vec<Vec<String>> = stacks.iter().zip(&times).map(|(stack, times)| row(stack, times, bare(stack.pends()))).collect();
    table::print(&["stack", "best", "median", "above the bare call", "two threads, each", "scaling"], &rows);
    Ok(())
}

fn row(stack: &Stack, times: &Times, bare: f64) -> Vec<String> {
    let (one, two) = (best(&times.one), best(&times.two));
    let name = format!("{}{}", stack.name(), if stack.pends() { ", pending" } else { "" });
    let above = if stack.name() == Stack::BARE { "-".to_owned() } else { thousands(one - bare) };
    vec![name, thousands(one), thousands(median(&times.one)), above, thousands(two), format!("{:.2}", 2.0 * one / two)]
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

fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
