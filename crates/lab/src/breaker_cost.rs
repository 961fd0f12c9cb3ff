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
    let rivals = [Rival::BARE, Rival::OURS, Rival::THEIRS].map(|name| Rival::new(name, 100));
    let rivals = rivals.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut rates = vec![[const { Vec::new() }; 2]; rivals.len()];
    for round in 0..ROUNDS {
        eprint!("\rtasks on one circuit: round {} of {ROUNDS}", round + 1);
        for (rival, rates) in rivals.iter().zip(&mut rates) {
            for (tasks, rates) in [1, 2].into_iter().zip(rates) {
                let made = CALLS * u64::try_from(tasks)?;
                rates.push(made as f64 / rival.tasks(tasks, CALLS)?.as_secs_f64());
            }
        }
    }
    eprintln!();
    println!(
        "Calls a second through one circuit, from one tokio task and from two on as many worker threads, of {ROUNDS} rounds of {CALLS} calls each.\n"
    );
    let figures: Vec<_> = rates.into_iter().map(|rates| Rates::of(&rates.map(sorted))).collect();
    let theirs = rivals.iter().zip(&figures).find(|(rival, _)| rival.name() == Rival::THEIRS).map(|(_, figures)| *figures);
    let theirs = theirs.ok_or("nobody was compared")?;
    let rows: Vec<_> = rivals.iter().zip(&figures).map(|(rival, figures)| figures.row(rival.name(), &theirs)).collect();
    let head = [
        "breaker",
        "one task, best",
        "two, best",
        "scaling",
        "two: times theirs",
        "one, median",
        "two, median",
        "two: times theirs",
    ];
    table::print(&head, &rows);
    Ok(())
}

/// Calls a second from one task and from two: in the best round, which others at work on the machine disturbed least, and in the middle one.
#[derive(Clone, Copy)]
struct Rates {
    best: [f64; 2],
    median: [f64; 2],
}

impl Rates {
    fn of(sorted: &[Vec<f64>; 2]) -> Self {
        let at = |nth: usize| {
            [0, 1].map(|tasks: usize| sorted.get(tasks).and_then(|rates| rates.get(nth)).copied().unwrap_or(f64::NAN))
        };
        Self { best: at(ROUNDS - 1), median: at(ROUNDS / 2) }
    }

    fn row(&self, name: &str, theirs: &Self) -> Vec<String> {
        let (best, median) = (self.best, self.median);
        let ratio = |one: f64, other: f64| format!("{:.2}", one / other);
        vec![
            name.to_owned(),
            thousands(best[0]),
            thousands(best[1]),
            ratio(best[1], best[0]),
            ratio(best[1], theirs.best[1]),
            thousands(median[0]),
            thousands(median[1]),
            ratio(median[1], theirs.median[1]),
        ]
    }
}

fn sorted(mut rates: Vec<f64>) -> Vec<f64> {
    rates.sort_by(f64::total_cmp);
    rates
}
