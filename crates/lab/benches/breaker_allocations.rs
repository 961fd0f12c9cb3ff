//! What a call through each closed breaker allocates: a line for each, as `lab breaker-cost` reads it (name, calls in its window, allocations, bytes; parted
//! by tabs).

use lab::{BoxError, Rival, per_call};

const CALLS: [u64; 2] = [100, 200];

fn main() -> Result<(), BoxError> {
    for (name, window) in Rival::ALL.into_iter().flat_map(|name| Rival::WINDOWS.map(|window| (name, window))) {
        // Their time is counted in records that are looked at in each call: to get so many in takes minutes.
        if Rival::is_endless(name, window) {
            continue;
        }
        let rival = Rival::new(name, window)?;
        rival.run(window)?;
        let mut counted = Vec::new();
        for calls in CALLS {
            let mut result = Ok(());
            counted.push(allocation_counter::measure(|| result = rival.run(calls)));
            result?;
        }
        let [few, many] = counted[..] else { return Err("two runs were counted".into()) };
        let allocations = per_call(CALLS, [few.count_total, many.count_total]);
        let bytes = per_call(CALLS, [few.bytes_total, many.bytes_total]);
        println!("{name}\t{window}\t{allocations}\t{bytes}");
    }
    Ok(())
}
