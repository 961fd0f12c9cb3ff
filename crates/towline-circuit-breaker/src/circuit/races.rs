//! Each order in which threads can meet, tried one after the other by loom:
//! `RUSTFLAGS="--cfg towline_loom" cargo test -p towline-circuit-breaker --release --lib races`.

use std::sync::Arc;

use loom::thread;
use towline_core::Jitter;

use super::*;
use crate::{CircuitState, ring::Rings, span::Ratio};

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn rules(change: impl FnOnce(&mut Rules)) -> Arc<Rules> {
    let ratio = Ratio { millionths: 500_000, span: Span::new(Duration::from_secs(60)), samples: n(2) };
    let mut rules = Rules { consecutive: Some(n(2)), failures: Some(ratio), jitter: Jitter::seeded(1), ..Rules::default() };
    change(&mut rules);
    Arc::new(rules)
}

/// What each of several threads says to a circuit and hears from it.
fn race<T: 'static>(
    circuit: &Arc<Circuit>,
    rules: &Arc<Rules>,
    threads: Vec<Box<dyn FnOnce(&Circuit, &Rules) -> T + Send>>,
) -> Vec<T> {
    let spawn = |body: Box<dyn FnOnce(&Circuit, &Rules) -> T + Send>| {
        let (circuit, rules) = (Arc::clone(circuit), Arc::clone(rules));
        thread::spawn(move || body(&circuit, &rules))
    };
    let threads: Vec<_> = threads.into_iter().map(spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn settle(circuit: &Circuit, rules: &Rules, ticket: Ticket, verdict: Verdict, now: Instant) -> Option<Change> {
    circuit.settle(rules, (ticket, 0), verdict, None, || now)
}

/// A circuit that has been open and whose open time is over at the instant that is returned.
fn opened(rules: &Rules) -> (Arc<Circuit>, Instant) {
    let now = Instant::now();
    let circuit = Circuit::new(rules, 1, now);
    loop {
        let (ticket, _) = circuit.admit(rules, now).unwrap();
        if let Some(Change::Opened { retry_after }) = settle(&circuit, rules, ticket, Verdict::Failure, now) {
            return (Arc::new(circuit), now + retry_after);
        }
    }
}

type Threads<T> = Vec<Box<dyn FnOnce(&Circuit, &Rules) -> T + Send>>;

#[test]
fn one_of_three_threads_is_the_probe() {
    loom::model(|| {
        let rules = rules(|_| {});
        let (circuit, now) = opened(&rules);
        let ask = || -> Box<dyn FnOnce(&Circuit, &Rules) -> _ + Send> { Box::new(move |c, r| c.admit(r, now)) };
        let asked = race(&circuit, &rules, vec![ask(), ask(), ask()]);
        let admitted: Vec<_> = asked.iter().flatten().collect();
        assert!(matches!(admitted[..], [(ticket, Some(Change::HalfOpened))] if ticket.is_probe()), "{asked:?}");
    });
}

#[test]
fn a_place_that_is_given_back_is_given_away_once() {
    loom::model(|| {
        let rules = rules(|_| {});
        let (circuit, now) = opened(&rules);
        let (probe, _) = circuit.admit(&rules, now).unwrap();
        let ask = || -> Box<dyn FnOnce(&Circuit, &Rules) -> _ + Send> { Box::new(move |c, r| c.admit(r, now).ok()) };
        let give_back = Box::new(move |c: &Circuit, r: &Rules| {
            assert_eq!(settle(c, r, probe, Verdict::Neutral, now), None);
            None
        });
        let admitted = race(&circuit, &rules, vec![ask(), give_back, ask()]).into_iter().flatten().count();
        assert!(admitted <= 1);
        // None is lost: it is held by who was admitted, else it is free.
        assert_eq!(circuit.admit(&rules, now).is_ok(), admitted == 0);
    });
}

#[test]
fn probes_that_succeed_at_once_close_it_once() {
    loom::model(|| {
        let rules = rules(|rules| rules.probes = n(2));
        let (circuit, now) = opened(&rules);
        let tickets = [circuit.admit(&rules, now).unwrap().0, circuit.admit(&rules, now).unwrap().0];
        let well = |ticket| -> Box<dyn FnOnce(&Circuit, &Rules) -> _ + Send> {
            Box::new(move |c, r| settle(c, r, ticket, Verdict::Success, now))
        };
        let threads: Threads<_> = vec![well(tickets[0]), well(tickets[1])];
        let told: Vec<_> = race(&circuit, &rules, threads).into_iter().flatten().collect();
        assert_eq!((&told[..], circuit.state(&rules, now)), (&[Change::Closed][..], CircuitState::Closed));
    });
}

#[test]
fn failures_at_once_open_it_once_whatever_a_success_does() {
    loom::model(|| {
        let rules = rules(|rules| rules.failures = None);
        let now = Instant::now();
        let circuit = Arc::new(Circuit::new(&rules, 1, now));
        let ends = |verdict| -> Box<dyn FnOnce(&Circuit, &Rules) -> _ + Send> {
            let (ticket, _) = circuit.admit(&rules, now).unwrap();
            Box::new(move |c, r| settle(c, r, ticket, verdict, now))
        };
        let threads: Threads<_> = vec![ends(Verdict::Failure), ends(Verdict::Success), ends(Verdict::Failure)];
        let told: Vec<_> = race(&circuit, &rules, threads).into_iter().flatten().collect();
        let word = circuit.load();
        match told[..] {
            [Change::Opened { .. }] => assert_eq!((word.state, word.generation), (State::Open, 1)),
            [] => assert_eq!((word.state, word.generation, word.run), (State::Closed, 0, word.run.min(1))),
            _ => panic!("{told:?}"),
        }
    });
}

#[test]
fn a_success_of_an_older_generation_is_counted_in_no_newer_one() {
    loom::model(|| {
        let rules = rules(|rules| rules.successes = n(1));
        let now = Instant::now();
        let circuit = Arc::new(Circuit::new(&rules, 1, now));
        let (old, _) = circuit.admit(&rules, now).unwrap();
        let late = Box::new(move |c: &Circuit, r: &Rules| {
            settle(c, r, old, Verdict::Success, now);
        });
        let outage = Box::new(move |c: &Circuit, r: &Rules| {
            c.force(r, true, now);
            c.reset(r, now);
        });
        race(&circuit, &rules, vec![late, outage]);
        assert_eq!(circuit.status(&rules, now).successes, 0);
    });
}

#[test]
fn the_end_of_a_ramp_loses_no_failure_and_revives_no_run() {
    loom::model(|| {
        let rules = rules(|rules| {
            rules.ramp = Some(Duration::from_secs(1));
            rules.successes = n(1);
            rules.failures = None;
        });
        let (circuit, now) = opened(&rules);
        let (probe, _) = circuit.admit(&rules, now).unwrap();
        assert_eq!(settle(&circuit, &rules, probe, Verdict::Success, now), Some(Change::Ramping));
        let (failed, _) = circuit.admit(&rules, now).unwrap();
        let later = now + Duration::from_secs(1);
        let ask = || -> Box<dyn FnOnce(&Circuit, &Rules) -> _ + Send> { Box::new(move |c, r| c.admit(r, later).unwrap().1) };
        let fail = Box::new(move |c: &Circuit, r: &Rules| settle(c, r, failed, Verdict::Failure, later));
        let told: Vec<_> = race(&circuit, &rules, vec![ask(), fail, ask()]).into_iter().flatten().collect();
        assert_eq!((&told[..], circuit.load().run), (&[Change::Ramped][..], 1));
    });
}

#[test]
fn rings_lose_nothing_where_a_new_bucket_begins() {
    loom::model(|| {
        let rings = Arc::new(Rings::new(1));
        rings.record(0, 0, 0);
        let count = |number| {
            let rings = Arc::clone(&rings);
            // The bucket of the first, two laps later, and a thread that comes late to the former one.
            thread::spawn(move || rings.record(0, 0, number))
        };
        for thread in [count(24), count(24), count(0)] {
            thread.join().unwrap();
        }
        // The late one counts into the bucket that it finds, and goes with it if that is the old one.
        assert!(matches!(rings.sum(0, 24), 2 | 3));
    });
}
