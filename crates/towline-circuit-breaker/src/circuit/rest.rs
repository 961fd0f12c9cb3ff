//! What a circuit knows beside its word, under its lock.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use crate::{
    circuit::Ticket,
    rules::{ALL, LONGEST_HINT, RAMP_BEGINS, Rules},
    window::Window,
    word::Word,
};

pub(super) struct Rest {
    /// Failures, for the count of them.
    pub(super) window: Window,
    /// Failures, for their share.
    pub(super) failures: Window,
    /// Those whose first content was slow.
    pub(super) slow: Window,
    /// When the present run of failures began.
    pub(super) run_began: Instant,
    /// When the present state began.
    pub(super) since: Instant,
    /// When it closed, or began.
    pub(super) closed_at: Instant,
    /// How often it has opened without a recovery in between.
    pub(super) openings: u32,
    pub(super) open_until: Instant,
    /// The latest time that the provider itself asked for.
    pub(super) not_before: Option<Instant>,
    /// The places that probes hold, and since when.
    pub(super) probes: Vec<(NonZeroU32, Instant)>,
    last_probe: u32,
    pub(super) successes: u32,
    /// What a ramp has saved up towards the next request that it lets through, in millionths.
    ramp: u32,
    /// How many were refused, ever.
    pub(super) refused: u64,
}

/// Made when it is first needed: most of a million circuits have never seen a failure.
#[derive(Default)]
pub(super) struct Lazy(Option<Box<Rest>>);

impl Lazy {
    pub(super) fn get(&mut self, began: Instant) -> &mut Rest {
        self.0.get_or_insert_with(|| Box::new(Rest::new(began)))
    }
}

impl Rest {
    fn new(now: Instant) -> Self {
        Self {
            window: Window::default(),
            failures: Window::default(),
            slow: Window::default(),
            run_began: now,
            since: now,
            closed_at: now,
            openings: 0,
            open_until: now,
            not_before: None,
            probes: Vec::new(),
            last_probe: 0,
            successes: 0,
            ramp: 0,
            refused: 0,
        }
    }

    /// Makes place for probes.
    pub(super) fn half_opened(&mut self) {
        self.probes.clear();
        self.successes = 0;
    }

    /// Begins to count anew.
    pub(super) fn closed(&mut self, now: Instant) {
        for window in [&mut self.window, &mut self.failures, &mut self.slow] {
            window.clear();
        }
        self.closed_at = now;
        // So that the first is let through.
        self.ramp = ALL - RAMP_BEGINS;
    }

    /// A place for a probe.
    pub(super) fn reserve(&mut self, word: Word, now: Instant) -> Ticket {
        self.last_probe = self.last_probe.wrapping_add(1);
        let probe = NonZeroU32::new(self.last_probe).unwrap_or(NonZeroU32::MIN);
        self.last_probe = probe.get();
        self.probes.push((probe, now));
        Ticket { generation: word.generation, probe: Some(probe) }
    }

    /// Takes the places of probes that have passed their deadline.
    pub(super) fn expire(&mut self, rules: &Rules, now: Instant) {
        self.probes.retain(|(_, since)| now.saturating_duration_since(*since) < rules.probe_deadline);
    }

    /// Nobody knows when a probe ends: after the first open time, say, but no later than its place is free.
    pub(super) fn wait_for_probe(&self, rules: &Rules, now: Instant) -> Duration {
        let left = |since: Instant| rules.probe_deadline.saturating_sub(now.saturating_duration_since(since));
        self.probes.iter().map(|(_, since)| left(*since)).min().unwrap_or_default().min(rules.open.0)
    }

    /// Whether a ramp that has come to `share` lets the next one through: every tenth at a tenth, evenly spread.
    pub(super) fn ramp_passes(&mut self, share: u32) -> bool {
        self.ramp = self.ramp.saturating_add(share);
        let passes = self.ramp >= ALL;
        if passes {
            self.ramp -= ALL;
        }
        passes
    }

    pub(super) fn told(&mut self, hint: Option<Duration>, now: Instant) {
        self.not_before = self.not_before.max(hint.map(|wait| now + wait.min(LONGEST_HINT)));
    }
}
