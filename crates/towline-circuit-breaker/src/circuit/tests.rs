use std::{num::NonZeroU32, sync::Arc};

use proptest::prelude::*;
use towline_core::Jitter;

use super::*;
use crate::circuit::model::Model;

const SECOND: Duration = Duration::from_secs(1);

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// The defaults, with a known jitter.
fn rules() -> Rules {
    Rules { jitter: Jitter::seeded(1), ..Rules::default() }
}

fn fail(circuit: &Circuit, rules: &Rules, now: Instant) -> Option<Change> {
    let (ticket, _) = circuit.admit(rules, now).unwrap();
    circuit.settle(rules, ticket, Verdict::Failure, None, || now)
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
        let (ticket, _) = circuit.admit(rules, now).unwrap();
        circuit.settle(rules, ticket, Verdict::Success, None, || now);
    }
    assert_eq!(circuit.state(now), CircuitState::Closed);
}

#[derive(Clone, Debug)]
enum Op {
    Advance(Duration),
    Admit,
    /// Settles one of the permits that are out; a drop is `Neutral`.
    Settle(prop::sample::Index, Verdict, Option<Duration>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    use Verdict::{Failure, Neutral, Soft, Success};
    let verdict = prop_oneof![4 => Just(Success), 5 => Just(Failure), 1 => Just(Soft), 1 => Just(Neutral)];
    let hint = prop::option::weighted(0.1, (0..400_u64).prop_map(Duration::from_secs));
    let advance = prop_oneof![3 => 0..3_000_u64, 2 => 0..30_000_u64, 1 => 0..120_000_u64];
    let op = prop_oneof![
        2 => advance.prop_map(|ms| Op::Advance(Duration::from_millis(ms))),
        4 => Just(Op::Admit),
        4 => (any::<prop::sample::Index>(), verdict, hint).prop_map(|(which, verdict, hint)| Op::Settle(which, verdict, hint)),
    ];
    prop::collection::vec(op, 1..400)
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let trip = prop_oneof![
        (1..6_u32).prop_map(|most| (Some(n(most)), None)),
        (1..6_u32, 1..90_u64).prop_map(|(most, secs)| (None, Some((n(most), Duration::from_secs(secs))))),
        (2..6_u32, 2..9_u32, 1..90_u64).prop_map(|(run, most, secs)| (Some(n(run)), Some((n(most), Duration::from_secs(secs))))),
    ];
    (trip, 1..4_u32, 1..4_u32, 1..90_u64).prop_map(|((consecutive, window), probes, successes, deadline)| Rules {
        consecutive,
        window,
        probes: n(probes),
        successes: n(successes),
        probe_deadline: Duration::from_secs(deadline),
        ..rules()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_agrees_with_a_naive_model_over_long_histories(rules in any_rules(), ops in ops(), seed: u64) {
        let mut now = Instant::now();
        let of = |jitter| Rules { jitter, ..rules.clone() };
        let (rules, mut model) = (of(Jitter::seeded(seed)), Model::new(of(Jitter::seeded(seed)), now));
        let circuit = Circuit::new(&rules, now);
        let mut out = Vec::new();
        for op in ops {
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
                Op::Settle(..) if out.is_empty() => {}
                Op::Settle(which, verdict, hint) => {
                    let (ticket, permit) = out.swap_remove(which.index(out.len()));
                    let change = circuit.settle(&rules, ticket, verdict, hint, || now);
                    prop_assert_eq!(change, model.settle(&permit, verdict, hint, now));
                }
            }
            prop_assert_eq!(circuit.state(now), model.state(now));
        }
    }

    #[test]
    fn whatever_happened_a_provider_that_is_well_closes_it(rules in any_rules(), ops in ops()) {
        let mut now = Instant::now();
        let circuit = Circuit::new(&rules, now);
        let mut out = Vec::new();
        for op in ops {
            match op {
                Op::Advance(by) => now += by,
                Op::Admit => out.extend(circuit.admit(&rules, now).map(|(ticket, _)| ticket)),
                Op::Settle(..) if out.is_empty() => {}
                Op::Settle(which, verdict, hint) => {
                    let ticket = out.swap_remove(which.index(out.len()));
                    circuit.settle(&rules, ticket, verdict, hint, || now);
                }
            }
        }
        // Those still out hang for ever; none of their places is lost.
        now += rules.longest_open().max(rules.probe_deadline);
        recover(&circuit, &rules, now);
    }
}

#[test]
fn a_success_from_before_the_outage_ends_no_run_after_it() {
    let (rules, start) = (rules(), Instant::now());
    let circuit = Circuit::new(&rules, start);
    let (old, _) = circuit.admit(&rules, start).unwrap();
    let now = trip(&circuit, &rules, start);
    recover(&circuit, &rules, now);
    for _ in 0..4 {
        assert_eq!(fail(&circuit, &rules, now), None);
    }
    assert_eq!(circuit.settle(&rules, old, Verdict::Success, None, || now), None);
    assert!(fail(&circuit, &rules, now).is_some());
}

#[test]
fn open_time_grows_while_it_flaps_and_begins_anew_after_a_recovery() {
    let (rules, start) = (rules(), Instant::now());
    let circuit = Circuit::new(&rules, start);
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
    let circuit = Circuit::new(&rules, start);
    let until = trip(&circuit, &rules, start);
    recover(&circuit, &rules, until);
    let opened = (1..=5).filter_map(|nth| fail(&circuit, &rules, until + SECOND * 30 * nth)).collect::<Vec<_>>();
    assert!(matches!(opened[..], [Change::Opened { retry_after }] if retry_after >= SECOND * 10), "{opened:?}");
}

#[test]
fn it_stays_open_for_as_long_as_the_provider_asks_but_no_longer_than_five_minutes() {
    for (asked, least, most) in [(1, 5, 8), (120, 120, 120), (86_400, 300, 300)] {
        let (rules, now) = (Rules { consecutive: Some(n(2)), ..rules() }, Instant::now());
        let circuit = Circuit::new(&rules, now);
        // The first of the failures tells, the one that opens the circuit does not.
        let (ticket, _) = circuit.admit(&rules, now).unwrap();
        circuit.settle(&rules, ticket, Verdict::Failure, Some(SECOND * asked), || now);
        let open = trip(&circuit, &rules, now) - now;
        assert!(open >= SECOND * least && open <= SECOND * most, "{asked}: {open:?}");
    }
}

#[test]
fn sixty_four_threads_at_one_instant_are_one_probe() {
    for round in 0..50 {
        let (rules, start) = (rules(), Instant::now());
        let circuit = Arc::new(Circuit::new(&rules, start));
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
    let rules = Rules { consecutive: Some(n(40_000)), ..rules() };
    let now = Instant::now();
    let circuit = Circuit::new(&rules, now);
    let opened: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..10_000).filter(|_| fail(&circuit, &rules, now).is_some()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(opened, 1);
    assert!(matches!(circuit.state(now), CircuitState::Open { .. }));
}
