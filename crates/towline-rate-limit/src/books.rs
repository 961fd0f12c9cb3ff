//! The books of one set of limits: what is left in each dimension, who is under way, who waits.

use std::time::Duration;

use tokio::time::Instant;
use towline_core::Usage;

use crate::{
    Dimension, Limits, Profile,
    bucket::{Bucket, DAY, MINUTE, Rate},
    cost::{Cost, Estimated, Typical},
    limits::DIMENSIONS,
    pace::Pace,
    search::Search,
};

mod feedback;
mod pass;

/// How limits are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) profile: Profile,
    pub(crate) thousandths: u32,
    pub(crate) burst: Option<u64>,
    pub(crate) token_burst: Option<u64>,
    /// Whether the requests a minute are only where to begin.
    pub(crate) find: bool,
    /// The longest wait, where it is another than that of all.
    pub(crate) max_wait: Option<Duration>,
}

/// Everything that is counted, checked together and committed together.
#[derive(Debug)]
pub(crate) struct Books {
    terms: Terms,
    /// Those of the dimensions that are limited and counted in time, in their order.
    buckets: Vec<(Dimension, Bucket)>,
    /// Whether tokens are limited, and whether the end of an answer changes what is left.
    counts_tokens: bool,
    awaits_end: bool,
    /// How many charges there have been.
    charges: u64,
    /// How many whose end matters have not ended.
    under_way: u64,
    typical: Typical,
    line: Line,
    /// The clock of the buckets, which shows the nanoseconds since it was started.
    pace: Pace,
    began: Instant,
    /// All that was ever charged, in requests and in tokens.
    requests: u64,
    sum: Cost,
    /// The youngest request whose answer told what is left, and the first that was charged after the last stop.
    heard: Option<u64>,
    stopped: u64,
    /// Whether nobody has passed since.
    closed: bool,
    /// What is looked for, where the limit is not known.
    search: Option<Search>,
}

/// Who stands in line. While anybody does, nobody passes them by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) waiting: usize,
    /// What all of them together will cost.
    cost: Cost,
}

/// What one request was charged.
#[derive(Debug)]
pub(crate) struct Charge {
    nth: u64,
    cost: Cost,
    /// All that had been charged by then, itself included.
    requests: u64,
    sum: Cost,
    /// Whether the end of the answer changes what is left; until then it is under way.
    pub(crate) awaits_end: bool,
    /// Whether a good answer makes a difference, since the limit is looked for.
    pub(crate) searches: bool,
    /// Whether it is the first after a stop.
    pub(crate) reopens: bool,
}

/// What is in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Until there are tokens for it: so long.
    pub(crate) time: Duration,
    /// Too many are under way; nobody knows how long.
    pub(crate) for_others: bool,
}

impl Terms {
    /// How a dimension fills, if it is limited and counted in time.
    pub(crate) fn rate(&self, dimension: Dimension) -> Option<Rate> {
        let limit = self.limits.get(dimension)?;
        let (requests, tokens) = self.profile.bursts();
        Some(match dimension {
            Dimension::Concurrency => return None,
            // A tenth at once and nine tenths in the course of the day: never more than the limit in any day.
            Dimension::RequestsPerDay | Dimension::TokensPerDay => {
                Rate::new(DAY, limit, self.thousandths * 9 / 10, None, DAY / 9)
            }
            Dimension::Requests => Rate::new(MINUTE, limit, self.thousandths, self.burst, requests),
            _ => Rate::new(MINUTE, limit, self.thousandths, self.token_burst, tokens),
        })
    }

    /// How long it takes until all is full again, at most.
    pub(crate) fn fill_in(&self) -> Duration {
        let times = DIMENSIONS.iter().filter_map(|dimension| Some(self.rate(*dimension)?.fills_in()));
        times.max().unwrap_or_default()
    }
}

impl Wait {
    pub(crate) const fn is_over(self) -> bool {
        self.time.is_zero() && !self.for_others
    }
}

impl Books {
    pub(crate) fn new(terms: Terms, now: Instant) -> Self {
        let mut books = Self {
            terms,
            buckets: Vec::new(),
            counts_tokens: false,
            awaits_end: false,
            charges: 0,
            under_way: 0,
            typical: Typical::new(),
            line: Line::default(),
            pace: Pace::new(),
            began: now,
            requests: 0,
            sum: Cost::default(),
            heard: None,
            stopped: 0,
            closed: false,
            search: None,
        };
        books.change(now, terms);
        books
    }

    /// Other limits from now on. What was charged and not yet made good stays so, dimension by dimension.
    pub(crate) fn change(&mut self, now: Instant, terms: Terms) {
        self.terms = terms;
        self.search = Search::of(&terms, now);
        self.refit(now);
    }

    /// Makes the buckets fit the terms.
    fn refit(&mut self, now: Instant) {
        let terms = self.terms;
        let now = self.clock(now);
        let mut old = std::mem::take(&mut self.buckets);
        for (dimension, rate) in DIMENSIONS.iter().filter_map(|dimension| Some((*dimension, terms.rate(*dimension)?))) {
            let bucket = match old.iter().position(|(known, _)| *known == dimension) {
                Some(at) => {
                    let (_, mut bucket) = old.swap_remove(at);
                    bucket.change(now, rate);
                    bucket
                }
                None => Bucket::new(rate, now, self.charges),
            };
            self.buckets.push((dimension, bucket));
        }
        self.counts_tokens = self.buckets.iter().any(|(dimension, _)| is_of_tokens(*dimension));
        self.awaits_end = terms.limits.await_the_end();
    }

    pub(crate) const fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) const fn line(&self) -> Line {
        self.line
    }

    pub(crate) const fn under_way(&self) -> u64 {
        self.under_way
    }

    /// What a request is to be charged.
    #[inline(never)]
    pub(crate) fn cost(&self, told: Estimated) -> Cost {
        self.terms.profile.reserve(told, self.typical)
    }

    /// What a request is to be charged if it passes at once: no tokens where none are counted.
    #[inline]
    pub(crate) fn cost_now(&self, told: Estimated) -> Cost {
        if self.counts_tokens { self.cost(told) } else { Cost::default() }
    }

    /// What is in the way of a request that goes behind all who wait. With several limits it may take longer.
    pub(crate) fn wait_in_line(&mut self, now: Instant, cost: Cost) -> Wait {
        self.wait_behind(now, self.line, cost)
    }

    /// What is in the way of a request that is the next to go.
    pub(crate) fn wait(&mut self, now: Instant, cost: Cost) -> Wait {
        self.wait_behind(now, Line::default(), cost)
    }

    fn wait_behind(&mut self, now: Instant, line: Line, cost: Cost) -> Wait {
        let waiting = u64::try_from(line.waiting).unwrap_or(u64::MAX);
        let shown = self.clock(now);
        let time = self.each().map(|(dimension, bucket)| {
            let ahead = if is_of_tokens(dimension) { line.cost.of(dimension) } else { waiting };
            bucket.wait(shown, ahead, cost.of(dimension))
        });
        let time = time.max().unwrap_or_default();
        let time = self.pace.wait(now, time);
        let most = self.terms.limits.get(Dimension::Concurrency);
        Wait { time, for_others: most.is_some_and(|most| self.under_way.saturating_add(waiting) >= most) }
    }

    /// It was never sent: all is as if it had never been charged.
    pub(crate) fn undo(&mut self, now: Instant, charge: &Charge) {
        let now = self.clock(now);
        self.each().for_each(|(dimension, bucket)| bucket.refund(now, charge.nth, charge.cost.of(dimension)));
    }

    /// It has cost `cost` instead of what it was charged. What it cost less comes back; what it cost more is owed from
    /// now on.
    pub(crate) fn settle(&mut self, now: Instant, charge: &Charge, cost: Cost) {
        let now = self.clock(now);
        let mut owes = false;
        self.each().filter(|(dimension, _)| is_of_tokens(*dimension)).for_each(|(dimension, bucket)| {
            let (charged, cost) = (charge.cost.of(dimension), cost.of(dimension));
            if cost < charged {
                bucket.refund(now, charge.nth, charged - cost);
            }
            owes |= cost > charged;
        });
        if owes {
            let more = cost.minus(charge.cost);
            self.each().for_each(|(dimension, bucket)| {
                bucket.take(now, if is_of_tokens(dimension) { more.of(dimension) } else { 0 });
            });
            self.charges = self.charges.wrapping_add(1);
        }
    }

    /// Its answer has ended whole and told what it cost.
    pub(crate) fn used(&mut self, now: Instant, charge: &Charge, usage: &Usage) {
        self.typical.learn(usage);
        let cost = self.terms.profile.settle(charge.cost, usage);
        self.settle(now, charge, cost);
    }

    /// Its answer broke off, having told so far what it cost: that counts if it is more than what was reserved.
    pub(crate) fn broke_off(&mut self, now: Instant, charge: &Charge, usage: &Usage) {
        let cost = self.terms.profile.settle(charge.cost, usage).max(charge.cost);
        self.settle(now, charge, cost);
    }

    /// It is under way no longer.
    pub(crate) fn ended(&mut self, charge: &Charge) {
        self.under_way = self.under_way.saturating_sub(charge.awaits_end.into());
    }

    pub(crate) fn joins(&mut self, cost: Cost) {
        self.line.waiting = self.line.waiting.saturating_add(1);
        self.line.cost = self.line.cost.plus(cost);
    }

    pub(crate) fn leaves(&mut self, cost: Cost) {
        self.line.waiting = self.line.waiting.saturating_sub(1);
        self.line.cost = if self.line.waiting == 0 { Cost::default() } else { self.line.cost.minus(cost) };
    }

    /// What the clock of the buckets shows.
    #[inline]
    fn clock(&self, now: Instant) -> u64 {
        let Some(shown) = self.pace.at(now).checked_duration_since(self.began) else { return 0 };
        shown.as_secs().saturating_mul(1_000_000_000).saturating_add(shown.subsec_nanos().into())
    }

    /// What is left in a dimension, if it is limited.
    pub(crate) fn left(&mut self, now: Instant, dimension: Dimension) -> Option<u64> {
        let limit = self.terms.limits.get(dimension)?;
        let now = self.clock(now);
        match self.buckets.iter_mut().find(|(known, _)| *known == dimension) {
            Some((_, bucket)) => Some(bucket.available(now)),
            None => Some(limit.saturating_sub(self.under_way)),
        }
    }

    fn each(&mut self) -> impl Iterator<Item = (Dimension, &mut Bucket)> {
        self.buckets.iter_mut().map(|(dimension, bucket)| (*dimension, bucket))
    }
}

const fn is_of_tokens(dimension: Dimension) -> bool {
    use Dimension as D;
    matches!(dimension, D::Tokens | D::InputTokens | D::OutputTokens | D::TokensPerDay)
}

#[cfg(test)]
mod tests;
