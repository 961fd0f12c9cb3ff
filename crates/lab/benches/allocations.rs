//! What a call through each stack allocates: a line for each, as `lab counts` reads it (name, whether it pends, allocations, bytes; parted by tabs).
//!
//! A program of its own, because counting needs an allocator of its own, which would slow down what is timed elsewhere.

use std::{env, sync::Barrier};

use lab::{BoxError, per_call, stacks};

const CALLS: [u64; 2] = [1_000, 2_000];

fn main() -> Result<(), BoxError> {
    // Cargo adds `--bench` behind what is asked for.
    let filter = env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for stack in stacks(&filter)? {
        let run = |calls| stack.run(calls, &Barrier::new(1)).map(drop);
        run(CALLS[1])?;
        let mut counted = Vec::new();
        for calls in CALLS {
            let mut result = Ok(());
            counted.push(allocation_counter::measure(|| result = run(calls)));
            result?;
        }
        let [few, many] = counted[..] else { return Err("two runs were counted".into()) };
        let allocations = per_call(CALLS, [few.count_total, many.count_total]);
        let bytes = per_call(CALLS, [few.bytes_total, many.bytes_total]);
        println!("{}\t{}\t{allocations}\t{bytes}", stack.name(), stack.pends());
    }
    Ok(())
}
