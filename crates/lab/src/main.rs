//! `lab [counts | time] [FILTER]`, `lab streams`, `lab breaker-cost`, `lab limiter-cost`, `lab gateway`: tables of what a call through each stack costs, an
//! event of a stream, a call through a closed breaker, a reservation, and a call through the whole gateway. `cargo xtask bench` hands its arguments on.

use std::{env, process::ExitCode, sync::Barrier};

use lab::{BoxError, Rival, stacks};

mod breaker_cost;
mod counts;
mod gateway;
mod keys;
mod limiter_cost;
mod streams;
mod table;
mod time;

const USAGE: &str = "usage: cargo xtask bench [counts | time] [FILTER] | streams | breaker-cost | limiter-cost | gateway\n\n  \
    counts  allocations, and instructions where valgrind is installed\n  \
    time    nanoseconds, on one thread and on two\n  \
    streams nanoseconds per event of a stream, with and without classify\n  \
    breaker-cost  what a closed breaker costs by itself, beside tower-resilience's\n  \
    limiter-cost  a reservation in one to three dimensions, beside governor\n  \
    gateway what the gateway costs, in a process of its own, beside a bare axum proxy\n  \
    FILTER  only the stacks whose name holds it\n\n\
    Without a subcommand, counts and time.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), BoxError> {
    match *arguments {
        ["run", name, pends, calls] => call(name, pends.parse()?, calls.parse()?),
        ["breaker", name, window, calls] => breaker(name, window.parse()?, calls.parse()?),
        ["-h" | "--help" | "help"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["run-limiter", name, dimensions, calls] => limiter_cost::run(name, dimensions.parse()?, calls.parse()?),
        ["limiter-cost"] => limiter_cost::print(),
        ["gateway"] => gateway::print(),
        ["gateway", "provider"] => gateway::provider(),
        ["gateway", "proxy", provider] => gateway::proxy(provider),
        ["streams"] => streams::print(),
        ["breaker-cost"] => breaker_cost::print(),
        ["counts"] => counts::print(""),
        ["counts", filter] => counts::print(filter),
        ["time"] => time::print(""),
        ["time", filter] => time::print(filter),
        [] => both(""),
        [filter] => both(filter),
        _ => Err(USAGE.into()),
    }
}

fn both(filter: &str) -> Result<(), BoxError> {
    counts::print(filter)?;
    println!();
    time::print(filter)
}

/// What runs beneath valgrind: one stack, `calls` times.
fn call(name: &str, pends: bool, calls: u64) -> Result<(), BoxError> {
    let stacks = stacks(name)?;
    let stack = stacks.iter().find(|stack| (stack.name(), stack.pends()) == (name, pends));
    let stack = stack.ok_or("there is no stack of this name")?;
    stack.run(calls, &Barrier::new(1))?;
    Ok(())
}

/// What runs beneath valgrind: one breaker, `calls` times, with `window` calls in its window before.
fn breaker(name: &str, window: u64, calls: u64) -> Result<(), BoxError> {
    Rival::new(name, window)?.run(window + calls)
}
