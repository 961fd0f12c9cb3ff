use std::num::{NonZeroU32, NonZeroU64};

use proptest::prelude::*;

use super::*;

const MINUTE: u128 = super::MINUTE as u128;
const DAY: u128 = super::DAY as u128;

/// The books as plainly as they can be kept: all that was ever charged, replayed from the start whenever anybody asks.
struct Model {
    limits: Limits,
    /// When, and how much in each dimension.
    entries: Vec<(u128, Cost, u64)>,
    under_way: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    /// So many tokens in, and out.
    Ask(u64, u64),
    Undo(prop::sample::Index),
    Refused(prop::sample::Index),
    Used(prop::sample::Index, u64, u64),
    BrokeOff(prop::sample::Index, u64, u64),
    KeepAll(prop::sample::Index),
}

const BURST: u64 = 7;
const TOKEN_BURST: u64 = 50;

impl Model {
    /// Units that come in each nanosecond, units of a token, and units that are there at most.
    fn rate(&self, dimension: Dimension) -> Option<(u128, u128, u128)> {
        let limit = u128::from(self.limits.get(dimension)?);
        let minute = |burst: u64| Some((limit, MINUTE, u128::from(burst) * MINUTE));
        match dimension {
            Dimension::Requests => minute(BURST),
            Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => minute(TOKEN_BURST),
            // A tenth of the day's at once, and nine tenths in the course of it.
            Dimension::RequestsPerDay | Dimension::TokensPerDay => Some((limit * 9, DAY * 10, (limit * DAY).max(DAY * 10))),
            Dimension::Concurrency => None,
        }
    }

    fn missing(&self, dimension: Dimension, now: u128) -> u128 {
        let Some((per_nano, token, _)) = self.rate(dimension) else { return 0 };
        let (mut missing, mut at) = (0_u128, 0);
        for (then, cost, requests) in &self.entries {
            let tokens = if is_of_tokens(dimension) { cost.of(dimension) } else { *requests };
            missing = missing.saturating_sub((then - at) * per_nano) + u128::from(tokens) * token;
            at = *then;
        }
        missing.saturating_sub((now - at) * per_nano)
    }

    fn left(&self, dimension: Dimension, now: u128) -> Option<u64> {
        let limit = self.limits.get(dimension)?;
        let Some((_, token, capacity)) = self.rate(dimension) else { return Some(limit.saturating_sub(self.under_way)) };
        u64::try_from(capacity.saturating_sub(self.missing(dimension, now)) / token).ok()
    }

    fn wait(&self, now: u128, cost: Cost) -> Wait {
        let lacking = |dimension: &Dimension| {
            let (per_nano, token, capacity) = self.rate(*dimension)?;
            let needed = (u128::from(cost.of(*dimension)) * token).min(capacity);
            Some((self.missing(*dimension, now) + needed).saturating_sub(capacity).div_ceil(per_nano))
        };
        let time = DIMENSIONS.iter().filter_map(lacking).max().unwrap_or(0);
        let for_others = self.limits.get(Dimension::Concurrency).is_some_and(|most| self.under_way >= most);
        Wait { time: Duration::from_nanos(u64::try_from(time).unwrap()), for_others }
    }

    /// What was charged as entry number `nth` has cost this.
    fn settle(&mut self, nth: usize, now: u128, cost: Cost) {
        let charged = self.entries[nth].1;
        let more = cost.minus(charged);
        let less = charged.minus(cost);
        self.entries[nth].1 = charged.minus(less);
        self.entries.push((now, more, 0));
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (0..4000_u64).prop_map(Step::Pass),
        8 => (0..40_u64, 0..60_u64).prop_map(|(input, output)| Step::Ask(input, output)),
        1 => index().prop_map(Step::Undo),
        1 => index().prop_map(Step::Refused),
        3 => (index(), 0..120_u64, 0..200_u64).prop_map(|(which, input, output)| Step::Used(which, input, output)),
        1 => (index(), 0..120_u64, 0..200_u64).prop_map(|(which, input, output)| Step::BrokeOff(which, input, output)),
        1 => index().prop_map(Step::KeepAll),
    ];
    prop::collection::vec(step, 0..250)
}

/// Every combination, by its bits.
fn limits(of: u8) -> Limits {
    let add = |limits: Limits, bit: u8, with: fn(Limits) -> Limits| if of & (1 << bit) == 0 { limits } else { with(limits) };
    let limits = add(Limits::none(), 0, |limits| limits.requests_per_minute(NonZeroU32::new(120).unwrap()));
    let limits = add(limits, 1, |limits| limits.tokens_per_minute(NonZeroU64::new(3000).unwrap()));
    let limits = add(limits, 2, |limits| limits.input_tokens_per_minute(NonZeroU64::new(1000).unwrap()));
    let limits = add(limits, 3, |limits| limits.output_tokens_per_minute(NonZeroU64::new(1700).unwrap()));
    let limits = add(limits, 4, |limits| limits.requests_per_day(NonZeroU32::new(300).unwrap()));
    let limits = add(limits, 5, |limits| limits.tokens_per_day(NonZeroU64::new(9000).unwrap()));
    add(limits, 6, |limits| limits.concurrency(NonZeroU32::new(4).unwrap()))
}

fn usage(input: u64, output: u64) -> Usage {
    let mut usage = Usage::default();
    (usage.input_tokens, usage.output_tokens) = (Some(input), Some(output));
    usage
}

fn cost(input: u64, output: u64) -> Cost {
    Cost { total: input + output, input, output }
}

fn play(of: u8, steps: Vec<Step>) -> Result<usize, TestCaseError> {
    let began = Instant::now();
    let limits = limits(of);
    let terms = Terms {
        limits,
        profile: Profile::Bedrock,
        thousandths: 1000,
        burst: Some(BURST),
        token_burst: Some(TOKEN_BURST),
        find: false,
        max_wait: None,
    };
    let mut books = Books::new(terms, began);
    let mut model = Model { limits, entries: Vec::new(), under_way: 0 };
    let mut open: Vec<(usize, Charge)> = Vec::new();
    let (mut ms, mut passed) = (0_u64, 0);
    for step in steps {
        let (at, now) = (began + Duration::from_millis(ms), u128::from(ms) * 1_000_000);
        let mut take = |which: prop::sample::Index| (!open.is_empty()).then(|| open.swap_remove(which.index(open.len())));
        let ended = |books: &mut Books, model: &mut Model, charge: &Charge| {
            books.ended(charge);
            model.under_way -= u64::from(charge.awaits_end);
        };
        match step {
            Step::Pass(more) => ms += more,
            Step::Ask(input, output) => {
                let told = Estimated { input: Some(input), max_output: Some(output) };
                let asked = books.cost(told);
                prop_assert_eq!(asked, cost(input, output));
                let wait = books.wait(at, asked);
                prop_assert_eq!(wait, model.wait(now, asked));
                if wait.is_over() {
                    let charge = books.charge(at, asked);
                    model.entries.push((now, asked, 1));
                    model.under_way += u64::from(charge.awaits_end);
                    open.push((model.entries.len() - 1, charge));
                    passed += 1;
                }
            }
            Step::Undo(which) => {
                if let Some((nth, charge)) = take(which) {
                    books.undo(at, &charge);
                    ended(&mut books, &mut model, &charge);
                    model.entries[nth] = (model.entries[nth].0, Cost::default(), 0);
                }
            }
            Step::Refused(which) => {
                if let Some((nth, charge)) = take(which) {
                    books.settle(at, &charge, Cost::default());
                    ended(&mut books, &mut model, &charge);
                    model.settle(nth, now, Cost::default());
                }
            }
            Step::Used(which, input, output) => {
                if let Some((nth, charge)) = take(which) {
                    books.used(at, &charge, &usage(input, output));
                    ended(&mut books, &mut model, &charge);
                    model.settle(nth, now, cost(input, output));
                }
            }
            Step::BrokeOff(which, input, output) => {
                if let Some((nth, charge)) = take(which) {
                    books.broke_off(at, &charge, &usage(input, output));
                    ended(&mut books, &mut model, &charge);
                    let most = cost(input, output).max(model.entries[nth].1);
                    model.settle(nth, now, most);
                }
            }
            Step::KeepAll(which) => {
                if let Some((_, charge)) = take(which) {
                    ended(&mut books, &mut model, &charge);
                }
            }
        }
        let exact = books.buckets.iter().all(|(_, bucket)| bucket.is_exact());
        let (at, now) = (began + Duration::from_millis(ms), u128::from(ms) * 1_000_000);
        if !exact {
            return Ok(passed);
        }
        for dimension in DIMENSIONS {
            prop_assert_eq!(books.left(at, dimension), model.left(dimension, now), "{}", dimension);
        }
    }
    Ok(passed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_combination_of_dimensions_agrees_with_a_replay_to_the_token(of in 0..128_u8, steps in steps()) {
        play(of, steps)?;
    }
}

#[test]
fn a_long_history_in_every_combination_agrees_with_a_replay() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut histories =
        |of: u8| (0..3).map(|_| play(of, steps().new_tree(&mut runner).unwrap().current()).unwrap()).sum::<usize>();
    let passed: Vec<_> = (0..128).map(&mut histories).collect();
    assert!(passed.iter().all(|passed| *passed > 5) && passed.iter().sum::<usize>() > 3000, "{passed:?}");
}
