//! The one door to every routine of the project: `cargo xtask test | lint | doc | bench | soak | law | ci`.
//!
//! Each routine is a list of steps in a file of its name. A step prints a heading and how long it took; the first that fails
//! ends the routine with a non-zero exit and the line that repeats it.

use std::{env, io, process::ExitCode};

use step::Steps;

mod bench;
mod ci;
mod doc;
mod inputs;
mod law;
mod lint;
mod soak;
mod step;
mod test;
mod workspace;

const USAGE: &str = "\
usage: cargo xtask ROUTINE

  test          all that CI asks: format, clippy, every crate alone, tests, documentation, the law
  lint          the quick part: format, clippy, the law, and cargo-deny where it is installed
  doc           the documentation, warnings denied
  bench [ARGS]  the benchmarks of the `lab` crate; ARGS are handed on to it;
                `bench providers` plays limiters against simulated providers
  soak [MINUTES]  200 streams through the gateway while a provider flaps, for 5 minutes or as many as are told
  law           the dependency law and the source laws
  ci            test, where TOWLINE_CORPUS and TOWLINE_FIXTURES must be set (so does test when CI is set)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((routine, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut steps = Steps::new(workspace::root(), io::stdout());
    let outcome = match (routine.as_str(), rest) {
        ("test", []) => test::run(&mut steps, ci::is_here()),
        ("lint", []) => lint::run(&mut steps),
        ("doc", []) => doc::run(&mut steps),
        ("bench", arguments) => bench::run(&mut steps, arguments),
        ("soak", []) => soak::run(&mut steps, 5),
        ("soak", [minutes]) if minutes.parse::<u32>().is_ok_and(|minutes| minutes > 0) => {
            soak::run(&mut steps, minutes.parse().unwrap_or(5))
        }
        ("law", []) => law::run(&mut steps),
        ("ci", []) => ci::run(&mut steps),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("cargo xtask {} is no routine of ours\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => {
            steps.close(routine);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}
