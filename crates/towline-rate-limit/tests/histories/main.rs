//! Long random histories in every combination of dimensions, beside a plain reference: calls that pass, wait, leave, end well, break
//! off, are refused, are told to stop, or never go.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic where a test may")]

#[path = "../common/mod.rs"]
mod common;
mod play;
mod reference;

use play::{Fate, History, play};
use reference::{ALL, MS, rate, tokens};
use towline_rate_limit::Dimension as D;

const COMBINATIONS: std::ops::Range<u8> = 0..128;

/// A history in each combination, of its own for each claim.
fn histories(seed: u64) -> impl Iterator<Item = History> {
    COMBINATIONS.map(move |of| play(of, seed * 1000 + u64::from(of), 100))
}

#[test]
fn in_every_combination_the_layer_agrees_with_a_plain_reference_to_the_token_whatever_becomes_of_a_call() {
    // Both are compared after each step.
    let (mut passed, mut waited) = (0, 0);
    let mut fates = std::collections::HashSet::new();
    for history in (1..3).flat_map(histories) {
        passed += history.passed.len();
        waited += history.passed.iter().filter(|(_, at)| at % MS == 0).count();
        fates.extend(history.asked.iter().filter_map(|asked| asked.fate.as_ref().map(std::mem::discriminant)));
    }
    assert!(passed > 5000 && waited > 1000 && fates.len() == 7, "{passed} passed, {waited} of them in their turn");
}

#[test]
fn no_more_is_granted_in_any_time_than_comes_in_and_a_burst() {
    let mut tight = 0;
    for history in histories(4) {
        for dimension in ALL {
            let Some(rate) = rate(&history.limits, dimension) else { continue };
            let granted: Vec<_> = history.passed.iter().map(|(id, at)| (*at, history.kept(*id, dimension))).collect();
            // What costs more than the burst waits for a full one, and passes beyond it.
            let largest = history.asked.iter().map(|asked| tokens(dimension, asked.cost)).max().unwrap_or(0);
            let burst = rate.most.max(u128::from(largest) * rate.token);
            for (nth, (first, _)) in granted.iter().enumerate() {
                let mut sum = 0;
                for (last, kept) in &granted[nth..] {
                    sum += u128::from(*kept) * rate.token;
                    let most = rate.per_nano * (last - first) + burst;
                    assert!(sum <= most, "{dimension}: {sum} of {most}");
                    tight += usize::from(sum * 10 > most * 9);
                }
            }
        }
        let most = history.limits.get(D::Concurrency).unwrap_or(u64::MAX);
        assert!(history.most_at_once as u64 <= most);
    }
    assert!(tight > 100, "{tight} times it was tight");
}

#[test]
fn nobody_starves() {
    for history in histories(5) {
        for (id, asked) in history.asked.iter().enumerate() {
            let passed = history.passed.iter().any(|(of, _)| *of == id);
            assert!(passed != (asked.was_refused || asked.left_the_line), "{id}: {asked:?}");
        }
    }
}

#[test]
fn whoever_came_first_passes_first() {
    for history in histories(6) {
        assert!(history.passed.is_sorted(), "{:?}", history.passed);
    }
}

#[test]
fn nobody_passes_while_the_gate_is_closed() {
    let mut stops = 0;
    for history in histories(7) {
        for (closed, opens, before) in &history.stops {
            let within = history.passed.iter().skip(*before).filter(|(_, at)| at < opens);
            assert_eq!(within.collect::<Vec<_>>(), Vec::<&(usize, u128)>::new(), "closed from {closed} until {opens}");
            stops += 1;
        }
    }
    assert!(stops > 100, "{stops}");
}

impl History {
    /// What was charged when it passed, less what came back; what it used beyond that was never granted.
    fn kept(&self, id: usize, dimension: D) -> u64 {
        let asked = &self.asked[id];
        let reserved = tokens(dimension, asked.cost);
        let is_of_tokens = !matches!(dimension, D::Requests | D::RequestsPerDay);
        match asked.fate {
            Some(Fate::Unsent) => 0,
            Some(Fate::Refused | Fate::Stopped(_)) if is_of_tokens => 0,
            Some(Fate::Used(used)) if is_of_tokens => reserved.min(tokens(dimension, used)),
            _ => reserved,
        }
    }
}
