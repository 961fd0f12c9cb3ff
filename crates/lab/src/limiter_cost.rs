//! `lab limiter-cost`: a reservation of the limiter alone, in one to three dimensions, beside as many of governor's direct checks.

use std::{
    hint::black_box,
    num::{NonZeroU32, NonZeroU64},
    sync::Barrier,
    thread,
    time::Instant,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, FakeRelativeClock, MonotonicClock},
};
use lab::BoxError;
use towline::{Limits, RateLimitLayer};
use towline_rate_limit::Bare;

use crate::{
    counts,
    table::{self, thousands},
};

/// Reservations beneath valgrind: so many that what governor does to find out how fast its clock is vanishes.
const COUNTED: [u64; 2] = [10_000, 410_000];

/// Reservations of each thread in a round, and rounds, of which the best counts: the others tell of the machine.
const TIMED: u64 = 50_000;
const ROUNDS: usize = 41;

/// Passes so many times, one after the other; `false` if it ever had to wait.
type Pass = Box<dyn Fn(u64) -> bool + Send + Sync>;

/// What is compared, each in as many dimensions.
const NAMES: [&str; 6] = ["clock", "governor", "governor, std clock", "governor, no clock", "towline", "towline, no clock"];
const DIMENSIONS: [usize; 3] = [1, 2, 3];

/// What runs beneath valgrind.
pub(crate) fn run(name: &str, dimensions: usize, calls: u64) -> Result<(), BoxError> {
    if limiter(name, dimensions)?(calls) { Ok(()) } else { Err("a limit was met".into()) }
}

pub(crate) fn print() -> Result<(), BoxError> {
    let all = || NAMES.into_iter().flat_map(|name| DIMENSIONS.map(|dimensions| (name, dimensions)));
    let limiters = all().map(|(name, dimensions)| limiter(name, dimensions)).collect::<Result<Vec<_>, _>>()?;
    let mut best = vec![[f64::INFINITY; 2]; limiters.len()];
    for round in 0..ROUNDS {
        eprint!("\rtaking the time: round {} of {ROUNDS}", round + 1);
        for (limiter, best) in limiters.iter().zip(&mut best) {
            for (threads, best) in [1, 2].into_iter().zip(best) {
                *best = best.min(took(limiter, threads)?);
            }
        }
    }
    eprintln!();
    println!("A reservation that need not wait, in one to three dimensions; governor is asked once for each.");
    println!(
        "Nanoseconds: the best of {ROUNDS} rounds; two threads make twice as many on one limiter, from the first beginning to the last end.\n"
    );
    let counted = |(name, dimensions): (&str, usize)| -> Result<String, BoxError> {
        let arguments = ["run-limiter", name, &dimensions.to_string()];
        Ok(counts::instructions_per_call(COUNTED, &arguments)?.map_or_else(|| "-".to_owned(), thousands))
    };
    let counts = all().map(counted).collect::<Result<Vec<_>, _>>()?;
    let rows = NAMES.iter().zip(counts.chunks(DIMENSIONS.len()).zip(best.chunks(DIMENSIONS.len())));
    let rows = rows.map(|(name, (counts, best))| {
        let times = [0, 1].map(|threads| best.iter().map(move |best| format!("{:.0}", best.get(threads).unwrap_or(&f64::NAN))));
        [(*name).to_owned()].into_iter().chain(counts.iter().cloned()).chain(times.into_iter().flatten()).collect()
    });
    let head = ["", "instructions, 1", "2", "3", "ns, 1", "2", "3", "two threads, ns for two, 1", "2", "3"];
    table::print(&head, &rows.collect::<Vec<_>>());
    Ok(())
}

fn limiter(name: &str, dimensions: usize) -> Result<Pass, BoxError> {
    Ok(match name {
        "clock" => {
            let began = tokio::time::Instant::now();
            Box::new(move |calls| (0..calls).all(|_| black_box(tokio::time::Instant::now()) >= began))
        }
        "governor" => governor(dimensions, &DefaultClock::default()),
        "governor, std clock" => governor(dimensions, &MonotonicClock),
        "governor, no clock" => governor(dimensions, &FakeRelativeClock::default()),
        "towline" => {
            let bare = bare(dimensions)?;
            Box::new(move |calls| (0..calls).all(|_| bare.reserve(tokio::time::Instant::now(), black_box(100), black_box(256))))
        }
        "towline, no clock" => {
            let (bare, now) = (bare(dimensions)?, tokio::time::Instant::now());
            Box::new(move |calls| (0..calls).all(|_| bare.reserve(black_box(now), black_box(100), black_box(256))))
        }
        _ => return Err("there is no limiter of this name".into()),
    })
}

/// A direct limiter for each dimension, as governor's users make them.
fn governor<C: Clock + Clone + Send + Sync + 'static>(dimensions: usize, clock: &C) -> Pass
where
    C::Instant: Send + Sync,
{
    let quota = Quota::per_second(NonZeroU32::MIN.saturating_add(999_999_999));
    let limiters: Vec<_> = (0..dimensions).map(|_| RateLimiter::direct_with_clock(quota, clock.clone())).collect();
    Box::new(move |calls| (0..calls).all(|_| limiters.iter().all(|limiter| black_box(limiter.check()).is_ok())))
}

/// One limiter with all dimensions, and rates that no loop reaches.
fn bare(dimensions: usize) -> Result<Bare, BoxError> {
    let many = NonZeroU64::MIN.saturating_add(1_000_000_000_000_000);
    let one = Limits::none().requests_per_minute(NonZeroU32::MAX);
    let limits = match dimensions {
        1 => one,
        2 => one.tokens_per_minute(many),
        _ => one.input_tokens_per_minute(many).output_tokens_per_minute(many),
    };
    let layer = RateLimitLayer::new(limits).burst(NonZeroU32::MAX).token_burst(many);
    Ok(Bare::of(&layer).ok_or("it is unlimited")?)
}

/// Nanoseconds of a pass where so many threads make theirs at the same time.
#[allow(clippy::disallowed_methods, reason = "the lab takes real time")]
fn took(pass: &Pass, threads: usize) -> Result<f64, BoxError> {
    let start = Barrier::new(threads);
    let one = || {
        start.wait();
        let began = Instant::now();
        let passed = pass(TIMED);
        (began, Instant::now(), passed)
    };
    let times = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().map_err(|_| "a thread panicked")).collect::<Result<Vec<_>, _>>()
    })?;
    if times.iter().any(|(.., passed)| !passed) {
        return Err("a limit was met".into());
    }
    let began = times.iter().map(|(began, ..)| *began).min().ok_or("nobody ran")?;
    let took = times.iter().map(|(_, ended, _)| ended.saturating_duration_since(began)).max().unwrap_or_default();
    Ok(took.as_nanos() as f64 / TIMED as f64)
}
