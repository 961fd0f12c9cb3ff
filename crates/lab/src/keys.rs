//! What it costs to find one circuit among many.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant as Wall},
};

use lab::BoxError;
use tokio::time::Instant;
use towline_core::{Jitter, Keyed};

use crate::table;

/// Every round takes both numbers of keys once.
const ROUNDS: usize = 61;

/// Look-ups in a round. Their keys are made just before, so that they are as near as those of a request that was just read.
const ASKED: usize = 500;

const KEYS: [u64; 2] = [1_000, 1_000_000];

pub(crate) fn print() -> Result<(), BoxError> {
    let (jitter, now) = (Jitter::seeded(1), Instant::now());
    let maps = KEYS.map(|keys| full(keys, now));
    let mut best = [Duration::MAX; KEYS.len()];
    for _ in 0..ROUNDS {
        for ((map, keys), best) in maps.iter().zip(KEYS).zip(&mut best) {
            *best = (*best).min(took(map, &asked(&jitter, keys), now));
        }
    }
    println!(
        "Nanoseconds to look up a key, asked at random and as a new string each time, the best of {ROUNDS} rounds of {ASKED} look-ups.\n"
    );
    let [few, many] = best.map(|time| time.as_nanos() as f64 / ASKED as f64);
    let row = vec!["look-up".to_owned(), format!("{few:.0}"), format!("{many:.0}"), format!("{:.1}", many / few)];
    table::print(&["", "1,000 keys", "1,000,000 keys", "ratio"], &[row]);
    Ok(())
}

/// As large as what a circuit keeps for a key.
type Value = [u64; 32];

fn full(keys: u64, now: Instant) -> Keyed<Value> {
    let map = Keyed::new(Duration::from_secs(3600), now);
    for nth in 0..keys {
        map.get_or_insert_with(&name(nth), now, || [nth; 32]);
    }
    map
}

fn name(nth: u64) -> Arc<str> {
    format!("tenant-{nth:07}").into()
}

fn asked(jitter: &Jitter, keys: u64) -> Vec<Arc<str>> {
    (0..ASKED).map(|_| name(jitter.up_to(Duration::from_nanos(keys - 1)).as_nanos() as u64)).collect()
}

#[allow(clippy::disallowed_methods, reason = "the lab takes real time")]
fn took(map: &Keyed<Value>, asked: &[Arc<str>], now: Instant) -> Duration {
    let began = Wall::now();
    for key in asked {
        black_box(map.get_or_insert_with(key, now, || [0; 32]));
    }
    began.elapsed()
}
