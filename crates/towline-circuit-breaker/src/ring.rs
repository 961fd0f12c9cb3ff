//! How much went well lately, counted by many threads without a lock.

use std::fmt;

use crate::{
    span::BUCKETS,
    sync::{AtomicU64, Ordering},
};

/// Rings of which each thread writes its own, so that none waits for another's cache line; who wants the sum reads all.
pub(crate) enum Rings {
    /// Nobody wants to know.
    Off,
    /// In place, for there may be a million of these.
    One(Ring),
    Many(Box<[Apart]>),
}

/// A ring of buckets with exact counts, each bucket one word that is changed by compare-and-swap.
///
/// A word says whose it is, so that nothing has to be emptied while the clock goes on: a thread that finds an older lap's count
/// begins anew, one that was delayed and finds a newer lap's adds to that, and one of an earlier generation adds nothing.
pub(crate) struct Ring([AtomicU64; BUCKETS as usize]);

/// On cache lines of its own.
#[repr(align(128))]
pub(crate) struct Apart(Ring);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    /// The circuit's generation, modulo 2^12. All cells are written when a generation begins, so only somebody delayed for
    /// two thousand of them could mistake one for another.
    epoch: u32,
    /// How often the ring had gone round, modulo 2^28: four years of the shortest window.
    lap: u32,
    /// Up to 2^24 - 1.
    count: u32,
}

const EPOCHS: u32 = (1 << 12) - 1;
const LAPS: u32 = (1 << 28) - 1;
const MOST: u32 = (1 << 24) - 1;

impl Rings {
    pub(crate) fn new(lanes: usize) -> Self {
        let ring = || Ring(std::array::from_fn(|_| AtomicU64::new(0)));
        match lanes {
            0 => Self::Off,
            1 => Self::One(ring()),
            lanes => Self::Many((0..lanes).map(|_| Apart(ring())).collect()),
        }
    }

    /// Counts one in the bucket `number`.
    #[inline]
    pub(crate) fn record(&self, lane: usize, generation: u32, number: u64) {
        let ring = match self {
            Self::Off => None,
            Self::One(ring) => Some(ring),
            Self::Many(rings) => rings.get(lane).map(|Apart(ring)| ring),
        };
        if let Some(ring) = ring {
            ring.record(generation & EPOCHS, number);
        }
    }

    /// How many were counted in this generation within the window whose newest bucket is `number`.
    pub(crate) fn sum(&self, generation: u32, number: u64) -> u64 {
        self.all().map(|ring| ring.sum(generation & EPOCHS, number)).sum()
    }

    /// Empties all for the generation that is about to begin.
    pub(crate) fn begin(&self, generation: u32, number: u64) {
        for (at, cell) in self.all().flat_map(|ring| (0..).zip(&ring.0)) {
            let empty = Cell { epoch: generation & EPOCHS, lap: last_lap(at, number), count: 0 };
            cell.store(empty.pack(), Ordering::Release);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Ring> {
        let (one, many) = match self {
            Self::Off => (None, &[][..]),
            Self::One(ring) => (Some(ring), &[][..]),
            Self::Many(rings) => (None, &**rings),
        };
        one.into_iter().chain(many.iter().map(|Apart(ring)| ring))
    }
}

impl Ring {
    #[inline]
    fn record(&self, epoch: u32, number: u64) {
        let lap = (number / BUCKETS) as u32 & LAPS;
        let Some(cell) = self.0.get((number % BUCKETS) as usize) else { return };
        let bits = cell.load(Ordering::Relaxed);
        // Nearly always: somebody has counted here in this lap, and nobody is counting just now.
        let begun = Cell { epoch, lap, count: MOST }.pack();
        if bits | u64::from(MOST) == begun
            && bits != begun
            && cell.compare_exchange(bits, bits + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            return;
        }
        Self::record_in(cell, epoch, lap);
    }

    #[cold]
    fn record_in(cell: &AtomicU64, epoch: u32, lap: u32) {
        let mut bits = cell.load(Ordering::Relaxed);
        while let Some(next) = Cell::unpack(bits).one_more(epoch, lap) {
            match cell.compare_exchange_weak(bits, next.pack(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => bits = newer,
            }
        }
    }

    fn sum(&self, epoch: u32, number: u64) -> u64 {
        let cells = (0..).zip(&self.0).map(|(at, cell)| (at, Cell::unpack(cell.load(Ordering::Acquire))));
        let lately = cells.filter(|(at, cell)| cell.epoch == epoch && !cell.is_before(last_lap(*at, number)));
        lately.map(|(_, cell)| u64::from(cell.count)).sum()
    }
}

impl Cell {
    /// With one more counted; `None` if it belongs to a later generation.
    #[inline]
    fn one_more(self, epoch: u32, lap: u32) -> Option<Self> {
        match epoch.wrapping_sub(self.epoch) & EPOCHS {
            0 if !self.is_before(lap) => Some(Self { count: (self.count + 1).min(MOST), ..self }),
            later if later <= EPOCHS / 2 => Some(Self { epoch, lap, count: 1 }),
            _ => None,
        }
    }

    #[inline]
    const fn is_before(self, lap: u32) -> bool {
        let behind = lap.wrapping_sub(self.lap) & LAPS;
        behind != 0 && behind <= LAPS / 2
    }

    #[inline]
    const fn pack(self) -> u64 {
        (self.epoch as u64) << 52 | (self.lap as u64) << 24 | self.count as u64
    }

    #[inline]
    const fn unpack(bits: u64) -> Self {
        Self { epoch: (bits >> 52) as u32, lap: (bits >> 24) as u32 & LAPS, count: bits as u32 & MOST }
    }
}

/// The lap in which the bucket `at` was the newest one for the last time, when `number` is.
const fn last_lap(at: u64, number: u64) -> u32 {
    match number.checked_sub(at) {
        Some(since) => (since / BUCKETS) as u32 & LAPS,
        None => LAPS, // The lap before the first.
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").field("lanes", &self.all().count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(epoch in 0..=EPOCHS, lap in 0..=LAPS, count in 0..=MOST) {
            let cell = Cell { epoch, lap, count };
            prop_assert_eq!(Cell::unpack(cell.pack()), cell);
        }

        #[test]
        fn it_counts_what_a_list_of_all_counts(
            start in prop_oneof![Just(0), Just(12 * u64::from(LAPS) - 50), 0..u64::from(u32::MAX)],
            ops in prop::collection::vec((0..20_u64, 0..8_usize, 0..20_u32), 1..300),
        ) {
            let rings = Rings::new(8);
            let (mut number, mut generation, mut all) = (start, 0, Vec::new());
            rings.begin(generation, number);
            for (step, lane, chance) in ops {
                number += step;
                match chance {
                    0 => {
                        generation += 3;
                        rings.begin(generation, number);
                        all.clear();
                    }
                    // Somebody of an earlier generation.
                    1 => rings.record(lane, generation.wrapping_sub(3), number),
                    _ => {
                        rings.record(lane, generation, number);
                        all.push(number);
                    }
                }
                let lately = all.iter().filter(|b| **b + 12 > number).count();
                prop_assert_eq!(rings.sum(generation, number), lately as u64);
            }
        }
    }

    #[test]
    fn a_thread_that_was_delayed_counts_into_the_newer_bucket_and_wipes_nothing() {
        let rings = Rings::new(1);
        for _ in 0..3 {
            rings.record(0, 0, 24);
        }
        rings.record(0, 0, 0); // The same bucket, two laps before.
        assert_eq!(rings.sum(0, 24), 4);
        assert_eq!(rings.sum(0, 5), 4, "nor does one that was delayed overlook what is newer");
        assert_eq!(rings.sum(0, 36), 0);
    }

    #[test]
    fn a_bucket_that_is_full_stays_full() {
        let full = Cell { epoch: 1, lap: 1, count: MOST };
        assert_eq!(full.one_more(1, 1), Some(full));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let rings = Rings::new(2);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let rings = &rings;
                scope.spawn(move || (0..10_000).for_each(|at| rings.record(thread % 2, 0, at / 1000)));
            }
        });
        assert_eq!(rings.sum(0, 10), 40_000);
    }
}
