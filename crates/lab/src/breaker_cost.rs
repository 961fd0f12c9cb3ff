//! `lab breaker-cost`: what a closed breaker costs by itself.

use std::collections::BTreeMap;

use lab::{BoxError, Rival};

use crate::{
    counts::{bench, instructions_per_call},
    keys,
    table::{self, thousands},
};

/// Calls that are counted, so few that the windows stay about as full as they are told to be.
const COUNTED: [u64; 2] = [20, 120];

/// Every round takes every breaker once, with one task and with two, so that a bad moment of the machine is everybody's.
const ROUNDS: usize = 61;

/// Calls of each task in a round, few enough for some rounds to be disturbed by nobody.
const CALLS: u64 = 20_000;

/// A number for each breaker, by its name and by how many calls are in its window.
type Counts = BTreeMap<(String, u64), f64>;

pub(crate) fn print() -> Result<(), BoxError> {
    counts()?;
    println!();
    tasks()?;
    println!();
    keys::print()
}

fn counts() -> Result<(), BoxError> {
    let (mut allocations, mut instructions) = (Counts::new(), Counts::new());
    for line in bench("breaker_allocations", "")?.lines() {
        let [name, window, count, _] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        allocations.insert((name.to_owned(), window.parse()?), count.parse()?);
    }
    for (name, window) in Rival::ALL.into_iter().flat_map(|name| Rival::WINDOWS.map(|window| (name, window))) {
        if Rival::is_endless(name, window) {
            continue;
        }
        eprint!("\rcounting instructions: {name}, {window} in the window          ");
        if let Some(count) = instructions_per_call(COUNTED, &["breaker", name, &window.to_string()])? {
            instructions.insert((name.to_owned(), window), count);
        }
    }
    eprintln!();
    println!(
        "Each call through a closed circuit with so many calls in its window, above the bare one (whose row is absolute).\n"
    );
    let row = |name: &str| {
        let cells = [&instructions, &allocations].map(|counts| Rival::WINDOWS.map(|window| above(counts, name, window)));
        [name.to_owned()].into_iter().chain(cells.into_iter().flatten()).collect()
    };
    let head = ["breaker", "instructions, 1", "1,000", "100,000", "allocations, 1", "1,000", "100,000"];
    table::print(&head, &Rival::ALL.map(row));
    Ok(())
}

fn above(counts: &Counts, name: &str, window: u64) -> String {
    let of = |name: &str| counts.get(&(name.to_owned(), window)).copied();
    let base = if name == Rival::BARE { Some(0.0) } else { of(Rival::BARE) };
    of(name).zip(base).map_or("-".to_owned(), |(count, base)| thousands(count - base))
}

fn tasks() -> Result<(), BoxError> {
    let rivals: Vec<_> =
        [Rival::BARE, Rival::OURS, Rival::THEIRS].map(|name| Rival::new(name, 100)).into_iter().collect::<Result<_, _>>()?;
    let mut best = vec![[0.0_f64; 2]; rivals.len()];
    for round in 0..ROUNDS {
        eprint!("\rtasks on one circuit: round {} of {ROUNDS}", round + 1);
        for (rival, best) in rivals.iter().zip(&mut best) {
            for (tasks, best) in [1, 2].into_iter().zip(best) {
                let made = CALLS * u64::try_from(tasks)?;
                *best = best.max(made as f64 / rival.tasks(tasks, CALLS)?.as_secs_f64());
            }
        }
    }
    eprintln!();
    println!(
        "Calls a second through one circuit, from one tokio task and from two on as many worker threads: the best of {ROUNDS} rounds of {CALLS} calls each.\n"
    );
    let theirs =
        rivals.iter().zip(&best).find(|(rival, _)| rival.name() == Rival::THEIRS).map_or([f64::NAN; 2], |(_, best)| *best);
    let row = |(rival, [one, two]): (&Rival, &[f64; 2])| {
        let ratios = [two / one, one / theirs[0], two / theirs[1]].map(|ratio| format!("{ratio:.2}"));
        [rival.name().to_owned(), thousands(*one), thousands(*two)].into_iter().chain(ratios).collect()
    };
    let rows: Vec<_> = rivals.iter().zip(&best).map(row).collect();
    table::print(&["breaker", "one task", "two tasks", "scaling", "one: times theirs", "two: times theirs"], &rows);
    Ok(())
}
