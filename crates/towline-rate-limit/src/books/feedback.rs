//! What answers tell about limits: that everybody has to stop, and that less is left than we believed.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;
use towline_wire::limits::Limits as Told;

use super::{Books, Charge};
use crate::{Dimension, Profile, cost::Cost, pace, search::Search};

/// How long everybody stops if nobody says how long.
const PAUSE: Duration = Duration::from_secs(5);
/// How long everybody stops at most, whatever is said; then one more finds out.
const LONGEST: Duration = Duration::from_secs(600);
/// Until the next slice of those that Azure counts in.
const SLICE: Duration = Duration::from_secs(1);
/// By how much a number of tokens may be off that is rounded to the thousand.
const ROUNDING: u64 = 500;

impl Books {
    /// A request was told to stop: so are all others, until `hint` has passed.
    ///
    /// When they go on there is nothing left to pass at once, and they go slower, unless it was sent before the last stop: its
    /// answer says nothing about the speed since. Returns for how long, if that is news.
    pub(crate) fn stop(&mut self, now: Instant, charge: &Charge, hint: Option<Duration>) -> Option<Duration> {
        let told = self.closed_for(now);
        let opens = now.checked_add(hint.unwrap_or(PAUSE).min(LONGEST)).unwrap_or(now);
        let is_new = charge.nth >= self.stopped;
        // Who looks for the limit takes back what it has found instead; that does not recover by itself.
        let found = self.search.as_mut().filter(|_| is_new).map(Search::fell);
        let kept = match self.terms.profile {
            _ if !is_new || found.is_some() => pace::FULL,
            Profile::Azure if hint.is_some_and(|hint| hint <= SLICE) => pace::KEPT_BETWEEN_SLICES,
            _ => pace::KEPT,
        };
        self.pace.stop(now, opens, kept);
        self.found(now, found);
        self.stopped = self.charges;
        let limited = |dimension| self.terms.limits.get(dimension).is_some();
        // Requests alone are enough to spread them, and who has none limited spreads them by tokens.
        let spread: &[_] = match limited(Dimension::Requests) {
            true => &[Dimension::Requests],
            false => &[Dimension::Tokens, Dimension::InputTokens, Dimension::OutputTokens],
        };
        for dimension in spread {
            self.lower(now, *dimension, 0);
        }
        let is_news = !std::mem::replace(&mut self.closed, true);
        Some(self.closed_for(now)).filter(|pause| is_news || *pause > told)
    }

    /// A request was answered well: where the limit is not known, and somebody waits for it, there may be more of it.
    pub(crate) fn went_well(&mut self, now: Instant) {
        if self.line.waiting > 0 {
            let found = self.search.as_mut().and_then(|search| search.rises(now));
            self.found(now, found);
        }
    }

    pub(crate) const fn searches(&self) -> bool {
        self.search.is_some()
    }

    fn found(&mut self, now: Instant, found: Option<NonZeroU32>) {
        if let Some(found) = found {
            self.terms.limits = self.terms.limits.requests_per_minute(found);
            self.refit(now);
        }
    }

    /// How long everybody stops.
    pub(crate) fn closed_for(&self, now: Instant) -> Duration {
        self.pace.closed_for(now)
    }

    /// An answer tells what is left. That counts in the one dimension which is closest to its end, only if it is less than what we
    /// believed, and only if no younger request's answer has been heard.
    pub(crate) fn hear(&mut self, now: Instant, charge: &Charge, told: &Told) {
        if self.heard.is_some_and(|heard| heard >= charge.nth) {
            return;
        }
        self.heard = Some(charge.nth);
        let told = [
            (Dimension::Requests, told.requests.remaining),
            (Dimension::Tokens, told.tokens.remaining),
            (Dimension::InputTokens, told.input_tokens.remaining),
            (Dimension::OutputTokens, told.output_tokens.remaining),
        ];
        let since = self.sum.minus(charge.sum);
        let requests = self.requests.wrapping_sub(charge.requests);
        let lower = told.into_iter().filter_map(|(dimension, remaining)| {
            let left = self.believe(dimension, remaining?, since, requests);
            let believed = self.left(now, dimension)?;
            let share = u128::from(left) * 1000 / u128::from(self.terms.limits.get(dimension)?);
            (left < believed).then_some((share, dimension, left))
        });
        if let Some((_, dimension, left)) = lower.min_by_key(|(share, ..)| *share) {
            self.lower(now, dimension, left);
        }
    }

    /// What is left of what an answer told, after those that were charged since.
    fn believe(&self, dimension: Dimension, remaining: u64, since: Cost, requests: u64) -> u64 {
        if dimension == Dimension::Requests {
            return remaining.saturating_sub(requests);
        }
        let is_rounded = self.terms.profile == Profile::Anthropic && remaining.is_multiple_of(1000);
        remaining.saturating_add(if is_rounded { ROUNDING } else { 0 }).saturating_sub(since.of(dimension))
    }

    fn lower(&mut self, now: Instant, lowered: Dimension, left: u64) {
        let now = self.clock(now);
        self.each().for_each(|(dimension, bucket)| match dimension == lowered {
            true => bucket.lower(now, left),
            false => bucket.take(now, 0),
        });
        self.charges = self.charges.wrapping_add(1);
    }
}
