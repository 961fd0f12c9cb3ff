use proptest::prelude::*;

use super::*;

const MINUTE: u128 = super::MINUTE as u128;
/// What one token of a minute's rate is in units.
const TOKEN: u128 = MINUTE * 1000;

#[derive(Debug)]
struct Charge {
    nth: u64,
    tokens: u64,
}

fn rate_of(limit: u32, thousandths: u32, burst: Option<u32>) -> Rate {
    Rate::new(super::MINUTE, limit.into(), thousandths, burst.map(Into::into), super::MINUTE / 60)
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap()
}

fn full(rate: Rate, now: u64) -> Bucket {
    Bucket::new(rate, now, 0)
}

impl Bucket {
    /// Takes what is there, or tells how long it takes until it is.
    fn reserve(&mut self, now: u64, tokens: u64) -> Result<Charge, Duration> {
        let wait = self.wait(now, 0, tokens);
        if !wait.is_zero() {
            return Err(wait);
        }
        let nth = self.charges;
        self.take(now, tokens);
        Ok(Charge { nth, tokens })
    }

    fn undo(&mut self, now: u64, charge: &Charge) {
        self.refund(now, charge.nth, charge.tokens);
    }
}

/// The books as plainly as they can be kept: all that was ever charged, replayed from the start whenever anybody asks.
struct Model {
    rate: Rate,
    history: Vec<Entry>,
}

struct Entry {
    at: u128,
    units: u128,
    given_back: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Thousandths of the time that one token takes.
    Pass(u32),
    /// Until what was last asked for is there.
    PassUntilThere,
    Take(u64),
    GiveBack(prop::sample::Index),
}

impl Model {
    fn missing(&self, now: u128) -> u128 {
        let mut missing = 0_u128;
        let mut at = 0;
        for entry in self.history.iter().filter(|entry| !entry.given_back) {
            missing = missing.saturating_sub((entry.at - at) * u128::from(self.rate.per_nano)) + entry.units;
            at = entry.at;
        }
        missing.saturating_sub((now - at) * u128::from(self.rate.per_nano))
    }

    fn take(&mut self, now: u128, cost: u64) -> Result<(), u64> {
        let units = u128::from(cost) * TOKEN;
        let missing = self.missing(now);
        let room = self.rate.capacity.saturating_sub(missing);
        if room >= units.min(self.rate.capacity) {
            self.history.push(Entry { at: now, units, given_back: false });
            return Ok(());
        }
        let lacking = missing + units.min(self.rate.capacity) - self.rate.capacity;
        Err(u64::try_from(lacking.div_ceil(u128::from(self.rate.per_nano))).unwrap())
    }

    /// The most that was charged and kept within any `MINUTE`.
    fn most_in_a_minute(&self) -> u128 {
        let kept: Vec<_> = self.history.iter().filter(|entry| !entry.given_back).collect();
        let within =
            |first: &Entry| kept.iter().filter(|e| (first.at..=first.at + MINUTE).contains(&e.at)).map(|e| e.units).sum();
        kept.iter().map(|first| within(first)).max().unwrap_or(0)
    }
}

/// Charges of up to `most` tokens, and rests of up to the time of `rest` tokens.
fn steps(most: u64, rest: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..rest * 50).prop_map(Step::Pass),
        1 => (0..rest * 1000).prop_map(Step::Pass),
        2 => Just(Step::PassUntilThere),
        8 => (1..=most).prop_map(Step::Take),
        4 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
    ];
    prop::collection::vec(step, 0..300)
}

/// Plays a history on both; `exact` unless the low points were ever more than are kept.
fn play(rate: Rate, steps: Vec<Step>) -> Result<Model, TestCaseError> {
    let began = 0_u64;
    let (mut bucket, mut model) = (full(rate, began), Model { rate, history: Vec::new() });
    let (mut now, mut until_there, mut exact) = (0_u64, 0, true);
    let mut open: Vec<(usize, Charge)> = Vec::new();
    for step in steps {
        let at = now;
        match step {
            Step::Pass(thousandths) => {
                now += u64::try_from(TOKEN / u128::from(rate.per_nano) / 1000).unwrap() * u64::from(thousandths)
            }
            Step::PassUntilThere => now += std::mem::take(&mut until_there),
            Step::GiveBack(which) if !open.is_empty() => {
                let (entry, charge) = open.swap_remove(which.index(open.len()));
                bucket.undo(at, &charge);
                model.history[entry].given_back = true;
            }
            Step::GiveBack(_) => {}
            Step::Take(cost) => {
                let got = bucket.reserve(at, cost);
                if exact || got.is_ok() {
                    let expected = model.take(now.into(), cost).map_err(Duration::from_nanos);
                    prop_assert_eq!(got.as_ref().map(drop), expected.as_ref().copied());
                }
                match got {
                    Ok(charge) => open.push((model.history.len() - 1, charge)),
                    Err(wait) => until_there = u64::try_from(wait.as_nanos()).unwrap(),
                }
            }
        }
        exact &= bucket.lows.len() < lows::MOST;
        let (kept, plain) = (
            bucket.missing.saturating_sub((u128::from(now) - u128::from(bucket.at)) * u128::from(rate.per_nano)),
            model.missing(now.into()),
        );
        prop_assert!(if exact { kept == plain } else { kept >= plain }, "{} instead of {}", kept, plain);
    }
    Ok(model)
}

proptest! {
    #[test]
    fn the_books_agree_with_a_replay_of_all_that_was_kept(
        per_minute in 1..100_000_u32, thousandths in 1..=1000_u32, burst in prop::option::of(1..12_u32), steps in steps(15, 60),
    ) {
        play(rate_of(per_minute, thousandths, burst), steps)?;
    }

    #[test]
    fn no_more_than_a_minute_and_a_burst_pass_in_any_minute(per_minute in 1..1000_u32, burst in 1..40_u32, steps in steps(1, 60)) {
        let rate = rate_of(per_minute, 1000, Some(burst));
        let model = play(rate, steps)?;
        prop_assert!(model.most_in_a_minute() <= rate.capacity + u128::from(rate.per_nano) * MINUTE);
    }

    #[test]
    fn more_low_points_than_are_kept_never_give_back_more(burst in 60..400_u32, steps in steps(2, 6)) {
        play(rate_of(60, 1000, Some(burst)), steps)?;
    }

    #[test]
    fn a_wait_is_neither_early_nor_late(per_minute in 1..5_000_000_u32, thousandths in 1..=1000_u32, before in 0..200_u32) {
        let began = 0_u64;
        let mut bucket = full(rate_of(per_minute, thousandths, Some(1)), began);
        let mut now = began + u64::from(before);
        bucket.reserve(now, 1).unwrap();
        let wait = bucket.reserve(now, 1).unwrap_err();
        now += nanos(wait);
        if let Some(early) = now.checked_sub(1) {
            prop_assert_eq!(bucket.reserve(early, 1).unwrap_err(), Duration::from_nanos(1));
        }
        prop_assert!(bucket.reserve(now, 1).is_ok());
    }

    #[test]
    fn with_the_defaults_no_minute_passes_more_than_the_limit(per_minute in 1..=u32::MAX) {
        let rate = rate_of(per_minute, 950, None);
        prop_assert!(rate.whole_tokens(rate.capacity + u128::from(rate.per_nano) * MINUTE) <= per_minute.into());
    }
}

#[test]
fn what_costs_more_than_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(5)), began);
    bucket.reserve(began, 2).unwrap();
    assert_eq!(bucket.reserve(began, 20).unwrap_err(), Duration::from_secs(2), "until it is full");
    let full = began + nanos(Duration::from_secs(2));
    bucket.reserve(full, 20).unwrap();
    assert_eq!(bucket.reserve(full, 1).unwrap_err(), Duration::from_secs(16), "20 less the 5 that were there, and the one");
    assert_eq!(bucket.available(full), 0);
}

#[test]
fn what_costs_nothing_waits_for_nothing_but_a_debt() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(1)), began);
    bucket.reserve(began, 1).unwrap();
    bucket.reserve(began, 0).unwrap();
    assert_eq!(bucket.wait(began, 0, 1), Duration::from_secs(1));
}

#[test]
fn a_charge_that_the_time_has_made_good_is_not_given_back_twice() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(10)), began);
    let charges: Vec<_> = (0..10).map(|_| bucket.reserve(began, 1).unwrap()).collect();
    let full_again = began + nanos(Duration::from_secs(10));
    bucket.reserve(full_again, 10).unwrap();
    charges.iter().for_each(|charge| bucket.undo(full_again, charge));
    assert_eq!(bucket.available(full_again), 0, "it would be 10, and 20 would pass at once, if all came back");
}

#[test]
fn of_a_burst_with_more_low_points_than_are_kept_nine_tenths_come_back() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(1000)), began);
    let charges: Vec<_> = (0..1000).map(|_| bucket.reserve(began, 1).unwrap()).collect();
    charges.iter().for_each(|charge| bucket.undo(began, charge));
    let back = bucket.available(began);
    assert!((900..=1000).contains(&back), "{back}");
}

#[test]
fn low_points_that_were_merged_do_not_give_back_what_the_time_has_made_good() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(1000)), began);
    bucket.reserve(began, 10).unwrap();
    let charge = bucket.reserve(began + nanos(Duration::from_secs(9)), 10).unwrap();
    let now = began + nanos(Duration::from_secs(18));
    (0..lows::MOST).for_each(|_| assert!(bucket.reserve(now, 5).is_ok()));
    let before = bucket.available(now);
    bucket.undo(now, &charge);
    assert!(bucket.available(now) - before <= 2, "only 2 of the 10 were still lacking");
}

#[test]
fn a_clock_that_comes_late_changes_nothing() {
    let began = 0_u64;
    let mut bucket = full(rate_of(60, 1000, Some(2)), began);
    let later = began + nanos(Duration::from_secs(5));
    bucket.reserve(later, 2).unwrap();
    assert_eq!(bucket.available(began), 0);
    assert_eq!(bucket.wait(later, 0, 1), Duration::from_secs(1));
}

#[test]
fn the_bounds_of_numbers_do_no_harm() {
    let began = 0_u64;
    let mut bucket = full(rate_of(u32::MAX, 1000, Some(u32::MAX)), began);
    let charge = bucket.reserve(began, u64::MAX).unwrap();
    assert!(bucket.wait(began, u64::MAX, u64::MAX) > Duration::from_secs(60));
    bucket.undo(began, &charge);
    assert_eq!(bucket.available(began + nanos(Duration::from_secs(u32::MAX.into()))), u64::from(u32::MAX));
    assert_eq!(rate_of(1, 1, None).fills_in(), Duration::from_secs(60_000));
}
