//! How fast time passes for the books: it stands still while the gate is closed, and is slow for a while afterwards.
//!
//! A bucket that fills at a changing rate would have to integrate; one that fills steadily by a clock whose speed changes need
//! not know. So all rates change together, and the books stay exact.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that is behind the real one by what was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How far it was behind when it was last closed; all there is if it never was.
    behind: Duration,
    gate: Option<Gate>,
}

/// The last time that somebody said stop.
#[derive(Clone, Copy, Debug)]
struct Gate {
    closed: Instant,
    opens: Instant,
    /// The thousandths by which time is too slow when it opens.
    slow: u32,
}

/// How long it takes to be as fast as before.
const RECOVERY: Duration = Duration::from_secs(60);
/// What is kept of the speed at a stop, or at one that only says that a short slice was full; and the least that it falls to.
pub(crate) const KEPT: u32 = 700;
pub(crate) const KEPT_BETWEEN_SLICES: u32 = 970;
const LEAST: u32 = 100;
/// All of it.
pub(crate) const FULL: u32 = 1000;

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { behind: Duration::ZERO, gate: None }
    }

    /// What this clock shows.
    #[inline]
    pub(crate) fn at(&self, now: Instant) -> Instant {
        if self.gate.is_none() { now } else { self.late(now) }
    }

    /// The same, where something was lost.
    #[inline(never)]
    fn late(&self, now: Instant) -> Instant {
        now.checked_sub(self.lost(now)).unwrap_or(now)
    }

    /// How long it really takes until this clock shows `time` more, and the gate is open.
    pub(crate) fn wait(&self, now: Instant, time: Duration) -> Duration {
        let Some(gate) = self.gate else { return time };
        let closed = gate.opens.saturating_duration_since(now);
        // What can still be lost; when all of it has been, it is surely there.
        let most =
            time.saturating_add(self.lost(gate.opens.checked_add(RECOVERY).unwrap_or(gate.opens)).saturating_sub(self.lost(now)));
        let (mut least, mut most) = (closed.max(time), most.max(closed));
        let Some(there) = self.at(now).checked_add(time) else { return time };
        while least < most {
            let middle = least + (most - least) / 2;
            let Some(then) = now.checked_add(middle) else { return time };
            if self.at(then) >= there {
                most = middle;
            } else {
                least = middle + Duration::from_nanos(1);
            }
        }
        least
    }

    /// Stops until `opens`, to go on with so many thousandths of the speed.
    pub(crate) fn stop(&mut self, now: Instant, opens: Instant, kept: u32) {
        let speed = FULL - self.slow(now);
        let speed = (speed * kept / FULL).max(LEAST);
        let slow = FULL - speed;
        match &mut self.gate {
            Some(gate) if now < gate.opens => {
                gate.opens = gate.opens.max(opens);
                gate.slow = gate.slow.max(slow);
            }
            _ => {
                self.behind = self.lost(now);
                self.gate = Some(Gate { closed: now, opens: opens.max(now), slow });
            }
        }
    }

    /// Whether the gate is open.
    #[inline]
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.gate.is_none_or(|gate| gate.opens <= now)
    }

    /// How long the gate stays closed.
    pub(crate) fn closed_for(&self, now: Instant) -> Duration {
        self.gate.map_or(Duration::ZERO, |gate| gate.opens.saturating_duration_since(now))
    }

    /// The thousandths by which time is too slow, or will be when it goes on.
    fn slow(&self, now: Instant) -> u32 {
        let Some(gate) = self.gate else { return 0 };
        let left = RECOVERY.saturating_sub(now.saturating_duration_since(gate.opens));
        let slow = u128::from(gate.slow) * left.as_nanos() / RECOVERY.as_nanos();
        u32::try_from(slow).unwrap_or(FULL)
    }

    /// How far behind this clock is: by all of the time that it was closed, and then by ever less.
    fn lost(&self, now: Instant) -> Duration {
        let Some(gate) = self.gate else { return self.behind };
        let closed = now.min(gate.opens).saturating_duration_since(gate.closed);
        let (open, all) = (now.saturating_duration_since(gate.opens).min(RECOVERY).as_nanos(), RECOVERY.as_nanos());
        // The integral of a slowness that falls from `slow` to nothing.
        let slow = (u128::from(gate.slow) * open * (2 * all - open)).div_ceil(2 * all * u128::from(FULL));
        self.behind.saturating_add(closed).saturating_add(Duration::from_nanos(u64::try_from(slow).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_stands_still_while_closed_then_goes_at_seven_tenths_and_is_as_fast_as_ever_a_minute_later() {
        let began = Instant::now();
        let mut pace = Pace::new();
        pace.stop(began, began + ms(2000), KEPT);
        let shown = |pace: &Pace, at: u64| pace.at(began + ms(at)).duration_since(began);
        assert_eq!(shown(&pace, 2000), ms(0));
        assert_eq!((pace.closed_for(began + ms(500)), pace.wait(began, ms(0))), (ms(1500), ms(2000)));
        let first = shown(&pace, 2100);
        assert!(first >= ms(70) && first < ms(71), "{first:?}");
        assert_eq!(shown(&pace, 62_000), ms(51_000), "0.85 in the mean");
        assert_eq!(shown(&pace, 63_000), ms(52_000));
    }

    #[test]
    fn who_is_told_to_stop_again_slows_down_again_but_never_below_a_tenth() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        for _ in 0..50 {
            pace.stop(now, now + ms(10), KEPT);
            now += ms(10);
        }
        assert_eq!(pace.slow(now), 900);
        pace.stop(now, now + ms(10), FULL);
        assert_eq!(pace.slow(now), 900, "not again, for what was sent before");
        assert_eq!(pace.slow(now + ms(61_000)), 0);
    }

    proptest! {
        #[test]
        fn it_never_runs_backwards_and_its_waits_are_exact(
            stops in prop::collection::vec((0..90_000_000_000_u64, 0..20_000_000_000_u64, prop::sample::select(vec![KEPT, KEPT_BETWEEN_SLICES, FULL])), 0..8),
            later in 0..90_000_000_000_u64, time in 0..100_000_000_000_u64,
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new();
            for (rest, pause, kept) in stops {
                let before = pace.at(now);
                now += Duration::from_nanos(rest);
                let shown = pace.at(now);
                prop_assert!(shown >= before && shown - before <= Duration::from_nanos(rest));
                pace.stop(now, now + Duration::from_nanos(pause), kept);
                prop_assert_eq!(pace.at(now), shown, "a stop does not turn it");
            }
            now += Duration::from_nanos(later);
            let time = Duration::from_nanos(time);
            let wait = pace.wait(now, time);
            let there = pace.at(now) + time;
            prop_assert!(pace.at(now + wait) >= there && wait >= pace.closed_for(now));
            if wait > pace.closed_for(now) && !wait.is_zero() {
                prop_assert!(pace.at(now + wait - Duration::from_nanos(1)) < there);
            }
        }
    }
}
