use std::{num::NonZeroU32, sync::Arc};

use proptest::prelude::*;
use towline_core::Jitter;

use super::*;
use crate::{
    CircuitState,
    circuit::model::{Model, Plain},
    span::{Ratio, Span},
};

const SECOND: Duration = Duration::from_secs(1);
const LANES: usize = 3;

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// The defaults, with a known jitter.
fn rules() -> Rules {
    Rules { jitter: Jitter::seeded(1), ..Rules::default() }
}

/// The defaults without the ratio.
fn in_a_row() -> Rules {
    Rules { failures: None, ..rules() }
}

fn circuit(rules: &Rules, now: Instant) -> Circuit {
    Circuit::new(rules, LANES, now)
}

fn settle(circuit: &Circuit, rules: &Rules, ticket: Ticket, verdict: Verdict, now: Instant) -> Option<Change> {
    circuit.settle(rules, (ticket, 0), verdict, None, || now)
}

/// A request that is let in and at once has its outcome.
fn ends(circuit: &Circuit, rules: &Rules, verdict: Verdict, now: Instant) -> Option<Change> {
    let (ticket, _) = circuit.admit(rules, now).unwrap();
    settle(circuit, rules, ticket, verdict, now)
}

fn fail(circuit: &Circuit, rules: &Rules, now: Instant) -> Option<Change> {
    ends(circuit, rules, Verdict::Failure, now)
}

/// Opens the circuit and returns until when.
fn trip(circuit: &Circuit, rules: &Rules, now: Instant) -> Instant {
    for _ in 0..100 {
        if let Some(Change::Opened { retry_after }) = fail(circuit, rules, now) {
            return now + retry_after;
        }
    }
    panic!("a hundred failures open it");
}

/// Closes the circuit, whose open time is over.
fn recover(circuit: &Circuit, rules: &Rules, now: Instant) {
    for _ in 0..rules.successes.get() {
        ends(circuit, rules, Verdict::Success, now);
    }
    assert_eq!(circuit.state(rules, now), CircuitState::Closed);
}

#[derive(Clone, Debug)]
enum Op {
    Advance(Duration),
    Admit,
    /// Settles one of the permits that are out; a drop is `Neutral`.
    Settle(prop::sample::Index, Verdict, Option<Duration>),
    /// First content of one of the permits that are out.
    Content(prop::sample::Index, bool),
    Force(bool),
    Reset,
}

/// Histories in which time passes by up to so many milliseconds between two things.
fn ops(longest: u64) -> impl Strategy<Value = Vec<Op>> {
    use Verdict::{Failure, Neutral, Soft, Success};
    let verdict = prop_oneof![4 => Just(Success), 5 => Just(Failure), 1 => Just(Soft), 1 => Just(Neutral)];
    let hint = prop::option::weighted(0.1, (0..400_u64).prop_map(Duration::from_secs));
    let advance = prop_oneof![3 => 0..longest / 40 + 1, 2 => 0..longest / 4 + 1, 1 => 0..longest + 1];
    let which = any::<prop::sample::Index>;
    let op = prop_oneof![
        40 => advance.prop_map(|ms| Op::Advance(Duration::from_millis(ms))),
        80 => Just(Op::Admit),
        80 => (which(), verdict, hint).prop_map(|(which, verdict, hint)| Op::Settle(which, verdict, hint)),
        30 => (which(), any::<bool>()).prop_map(|(which, slow)| Op::Content(which, slow)),
        1 => any::<bool>().prop_map(Op::Force),
        2 => Just(Op::Reset),
    ];
    prop::collection::vec(op, 1..600)
}

/// Which rules open a circuit: 1 is the run, 2 the count, 4 the ratio, 8 slowness.
fn any_rules(which: u8) -> impl Strategy<Value = (Rules, Plain)> {
    let secs = |most| (1..most).prop_map(Duration::from_secs);
    let ratio = || (1..101_u32, secs(90_u64), 1..15_u32);
    let trip = (1..8_u32, (1..8_u32, secs(90)), ratio(), ratio());
    let rest = (1..4_u32, 1..4_u32, 1..90_u64, prop::option::weighted(0.3, (1..60_000_u64).prop_map(Duration::from_millis)));
    (trip, rest).prop_map(move |((run, window, failures, slow), (probes, successes, deadline, ramp))| {
        let on = |rule: u8| which & rule != 0;
        let plain = Plain { window: on(2).then_some(window), failures: on(4).then_some(failures), slow: on(8).then_some(slow) };
        let ratio =
            |(percent, window, samples)| Ratio { millionths: percent * 10_000, span: Span::new(window), samples: n(samples) };
        let rules = Rules {
            consecutive: on(1).then_some(n(run)),
            window: plain.window.map(|(most, window)| (n(most), Span::new(window))),
            failures: plain.failures.map(ratio),
            slow: plain.slow.map(|slow| (SECOND, ratio(slow))),
            probes: n(probes),
            successes: n(successes),
            probe_deadline: Duration::from_secs(deadline),
            ramp,
            ..rules()
        };
        (rules, plain)
    })
}

/// Lives through a history together with the naive model.
fn agrees((rules, plain): (Rules, Plain), ops: Vec<Op>, seed: u64) -> Result<(), TestCaseError> {
    let mut now = Instant::now();
    let of = |jitter| Rules { jitter, ..rules.clone() };
    let (rules, mut model) = (of(Jitter::seeded(seed)), Model::new(of(Jitter::seeded(seed)), plain, now));
    let circuit = circuit(&rules, now);
    let mut out = Vec::new();
    for (nth, op) in ops.into_iter().enumerate() {
        let lane = nth % LANES;
        match op {
            Op::Advance(by) => now += by,
            Op::Admit => match (circuit.admit(&rules, now), model.admit(now)) {
                (Ok((ticket, change)), Ok((permit, expected))) => {
                    prop_assert_eq!((ticket.is_probe(), change), (permit.is_probe(), expected));
                    out.push((ticket, permit));
                }
                (Err(wait), Err(expected)) => prop_assert_eq!(wait, expected),
                (one, other) => prop_assert!(false, "{:?} but {:?}", one, other),
            },
            Op::Force(open) => prop_assert_eq!(circuit.force(&rules, open, now), model.force(open)),
            Op::Reset => prop_assert_eq!(circuit.reset(&rules, now), model.reset(now)),
            Op::Settle(..) | Op::Content(..) if out.is_empty() => {}
            Op::Settle(which, verdict, hint) => {
                let (ticket, permit) = out.swap_remove(which.index(out.len()));
                let change = circuit.settle(&rules, (ticket, lane), verdict, hint, || now);
                prop_assert_eq!(change, model.settle(&permit, verdict, hint, now));
            }
            Op::Content(which, slow) => {
                let (ticket, permit) = &out[which.index(out.len())];
                if rules.slow.is_some() && !ticket.is_probe() {
                    prop_assert_eq!(circuit.content(&rules, (*ticket, lane), slow, now), model.content(permit, slow, now));
                }
            }
        }
        let status = circuit.status(&rules, now);
        prop_assert_eq!((circuit.state(&rules, now), status.state), (model.state(now), model.state(now)));
        let counted = (status.failures, status.successes, status.failures_in_a_row, status.refused);
        prop_assert_eq!(counted, model.counts(now));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn by_its_run_it_agrees_with_a_naive_model_over_long_histories(rules in any_rules(1), ops in ops(120_000), seed: u64) {
        agrees(rules, ops, seed)?;
    }

    #[test]
    fn by_a_count_it_agrees_with_a_naive_model_over_long_histories(rules in any_rules(2), ops in ops(40_000), seed: u64) {
        agrees(rules, ops, seed)?;
    }

    #[test]
    fn by_a_ratio_it_agrees_with_a_naive_model_over_long_histories(rules in any_rules(4), ops in ops(20_000), seed: u64) {
        agrees(rules, ops, seed)?;
    }

    #[test]
    fn by_slowness_it_agrees_with_a_naive_model_over_long_histories(rules in any_rules(8), ops in ops(20_000), seed: u64) {
        agrees(rules, ops, seed)?;
    }

    #[test]
    fn by_any_rules_it_agrees_with_a_naive_model_over_long_histories(
        rules in (1..16_u8).prop_flat_map(any_rules),
        ops in prop_oneof![ops(4_000), ops(20_000), ops(600_000)],
        seed: u64,
    ) {
        agrees(rules, ops, seed)?;
    }

    #[test]
    fn whatever_happened_a_provider_that_is_well_closes_it((rules, _) in (1..16_u8).prop_flat_map(any_rules), ops in ops(120_000)) {
        let mut now = Instant::now();
        let circuit = circuit(&rules, now);
        let mut out = Vec::new();
        for op in ops {
            match op {
                Op::Advance(by) => now += by,
                Op::Admit => out.extend(circuit.admit(&rules, now).map(|(ticket, _)| ticket)),
                Op::Settle(which, verdict, hint) if !out.is_empty() => {
                    let ticket = out.swap_remove(which.index(out.len()));
                    circuit.settle(&rules, (ticket, 0), verdict, hint, || now);
                }
                _ => {}
            }
        }
        // Those still out hang for ever; none of their places is lost.
        now += rules.longest_open().max(rules.probe_deadline);
        for _ in 0..rules.successes.get() {
            if !circuit.load().counts() {
                ends(&circuit, &rules, Verdict::Success, now);
            }
        }
        now += rules.ramp.unwrap_or_default();
        ends(&circuit, &rules, Verdict::Success, now);
        prop_assert_eq!(circuit.state(&rules, now), CircuitState::Closed);
    }
}

#[test]
fn a_success_from_before_the_outage_ends_no_run_after_it() {
    let (rules, start) = (rules(), Instant::now());
    let circuit = circuit(&rules, start);
    let (old, _) = circuit.admit(&rules, start).unwrap();
    let now = trip(&circuit, &rules, start);
    recover(&circuit, &rules, now);
    for _ in 0..4 {
        assert_eq!(fail(&circuit, &rules, now), None);
    }
    assert_eq!(settle(&circuit, &rules, old, Verdict::Success, now), None);
    assert!(fail(&circuit, &rules, now).is_some());
}

#[test]
fn open_time_grows_while_it_flaps_and_begins_anew_after_a_recovery() {
    let (rules, start) = (Rules { open: (SECOND * 5, SECOND * 60), ..rules() }, Instant::now());
    let circuit = circuit(&rules, start);
    let mut now = start;
    for least in [5, 10, 20, 40, 60, 60] {
        let until = trip(&circuit, &rules, now);
        let (open, least) = (until - now, SECOND * least);
        assert!(open >= least && open <= least + least / 2, "{open:?} is about {least:?}");
        recover(&circuit, &rules, until);
        now = until + SECOND * 10;
    }
    now += SECOND * 60;
    assert!(trip(&circuit, &rules, now) - now < SECOND * 8, "it had been well for more than a minute");
}

#[test]
fn a_minute_of_slow_failures_is_no_recovery() {
    let (rules, start) = (rules(), Instant::now());
    let circuit = circuit(&rules, start);
    let until = trip(&circuit, &rules, start);
    recover(&circuit, &rules, until);
    let opened = (1..=5).filter_map(|nth| fail(&circuit, &rules, until + SECOND * 30 * nth)).collect::<Vec<_>>();
    assert!(matches!(opened[..], [Change::Opened { retry_after }] if retry_after >= SECOND * 10), "{opened:?}");
}

#[test]
fn it_stays_open_for_as_long_as_the_provider_asks_but_no_longer_than_five_minutes() {
    for (asked, least, most) in [(1, 5, 8), (120, 120, 120), (86_400, 300, 300)] {
        let (rules, now) = (Rules { consecutive: Some(n(2)), ..rules() }, Instant::now());
        let circuit = circuit(&rules, now);
        // The first of the failures tells, the one that opens the circuit does not.
        let (ticket, _) = circuit.admit(&rules, now).unwrap();
        circuit.settle(&rules, (ticket, 0), Verdict::Failure, Some(SECOND * asked), || now);
        let open = trip(&circuit, &rules, now) - now;
        assert!(open >= SECOND * least && open <= SECOND * most, "{asked}: {open:?}");
    }
}

#[test]
fn sixty_four_threads_at_one_instant_are_one_probe() {
    for round in 0..50 {
        let (rules, start) = (rules(), Instant::now());
        let circuit = Arc::new(circuit(&rules, start));
        let until = trip(&circuit, &rules, start);
        let barrier = std::sync::Barrier::new(64);
        let admitted = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..64)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        circuit.admit(&rules, until).is_ok()
                    })
                })
                .collect();
            tries.into_iter().map(|t| t.join().unwrap()).filter(|admitted| *admitted).count()
        });
        assert_eq!(admitted, 1, "round {round}");
    }
}

#[test]
fn no_failure_is_lost_between_threads() {
    let rules = Rules { consecutive: Some(n(40_000)), ..in_a_row() };
    let now = Instant::now();
    let circuit = circuit(&rules, now);
    let opened: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..10_000).filter(|_| fail(&circuit, &rules, now).is_some()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(opened, 1);
    assert!(matches!(circuit.state(&rules, now), CircuitState::Open { .. }));
}
