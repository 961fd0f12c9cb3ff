//! What a limiter should do, as plainly as it can be said: whenever anybody asks, all that ever happened is played again from the
//! start.
//!
//! Times are nanoseconds since the beginning. Amounts are in units of which a whole number comes in with each nanosecond.

use std::collections::VecDeque;

use towline_rate_limit::{Dimension as D, Limits};

pub(crate) const ALL: [D; 7] =
    [D::Requests, D::Tokens, D::InputTokens, D::OutputTokens, D::RequestsPerDay, D::TokensPerDay, D::Concurrency];
pub(crate) const BURST: u32 = 7;
pub(crate) const TOKEN_BURST: u64 = 50;
pub(crate) const QUEUE: usize = 12;
pub(crate) const MS: u128 = 1_000_000;
const MINUTE: u128 = 60_000 * MS;
const DAY: u128 = 1440 * MINUTE;

/// Tokens in, and out.
pub(crate) type Cost = (u64, u64);

/// A dimension's limit: units that come in with each nanosecond, units of one token, units that are there at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_nano: u128,
    pub(crate) token: u128,
    pub(crate) most: u128,
}

#[derive(Debug)]
pub(crate) struct Reference {
    limits: Limits,
    /// When, by the clock that stands still while the gate is closed, and how many units of each dimension.
    charges: Vec<(u128, [u128; 6])>,
    stops: Vec<Stop>,
    line: VecDeque<(usize, Cost)>,
    pub(crate) under_way: u64,
    /// Who has passed, and when.
    pub(crate) passed: Vec<(usize, u128)>,
    /// The charge of each that has passed, and what it was charged for.
    charge_of: Vec<(usize, usize, Cost)>,
}

/// The gate is closed, and time goes slower when it opens.
#[derive(Clone, Copy, Debug)]
struct Stop {
    closed: u128,
    opens: u128,
    /// By so many thousandths at first.
    slow: u128,
    /// How many charges there were.
    after: usize,
}

pub(crate) fn rate(limits: &Limits, dimension: D) -> Option<Rate> {
    let limit = u128::from(limits.get(dimension)?);
    let minute = |burst: u128| Some(Rate { per_nano: limit, token: MINUTE, most: burst * MINUTE });
    match dimension {
        D::Requests => minute(BURST.into()),
        D::Tokens | D::InputTokens | D::OutputTokens => minute(TOKEN_BURST.into()),
        // A tenth of the day's at once, and nine tenths in the course of it.
        D::RequestsPerDay | D::TokensPerDay => {
            Some(Rate { per_nano: limit * 9, token: DAY * 10, most: (limit * DAY).max(DAY * 10) })
        }
        _ => None,
    }
}

/// What a request counts in a dimension.
pub(crate) fn tokens(dimension: D, (input, output): Cost) -> u64 {
    match dimension {
        D::Tokens | D::TokensPerDay => input + output,
        D::InputTokens => input,
        D::OutputTokens => output,
        _ => 1,
    }
}

impl Reference {
    pub(crate) fn new(limits: Limits) -> Self {
        let (charges, stops, line) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { limits, charges, stops, line, under_way: 0, passed: Vec::new(), charge_of: Vec::new() }
    }

    /// It passes, waits in line, or is refused.
    pub(crate) fn ask(&mut self, now: u128, id: usize, cost: Cost) -> bool {
        if self.line.is_empty() && self.fits(now, cost) {
            self.pass(now, id, cost);
        } else if self.line.len() < QUEUE {
            self.line.push_back((id, cost));
        } else {
            return false;
        }
        true
    }

    /// Whoever is woken passes, if it can, and wakes the next.
    pub(crate) fn look(&mut self, now: u128) {
        while let Some((id, cost)) = self.line.front().copied().filter(|(_, cost)| self.fits(now, *cost)) {
            self.line.pop_front();
            self.pass(now, id, cost);
        }
    }

    /// The first full millisecond after `now` in which the head of the line can pass if nothing happens.
    pub(crate) fn next(&self, now: u128) -> Option<u128> {
        let (_, cost) = *self.line.front()?;
        let counts = self.limits.get(D::Concurrency).is_some_and(|most| self.under_way >= most);
        if counts {
            return None;
        }
        let (mut never, mut surely) = (now / MS, now / MS + 1);
        while !self.fits(surely * MS, cost) {
            surely += 2 * (surely - now / MS);
        }
        while surely - never > 1 {
            let middle = never.midpoint(surely);
            if self.fits(middle * MS, cost) { surely = middle } else { never = middle }
        }
        Some(surely * MS)
    }

    /// Whether it was the head of the line, so that another is now.
    pub(crate) fn leaves(&mut self, id: usize) -> bool {
        let head = self.line.front().map(|(waiting, _)| *waiting);
        self.line.retain(|(waiting, _)| *waiting != id);
        head == Some(id)
    }

    /// It was never sent.
    pub(crate) fn undo(&mut self, id: usize) {
        let (nth, _) = self.ends(id);
        self.charges[nth].1 = [0; 6];
    }

    /// It has cost so much, and nothing more is heard of it. Without a cost, what it was charged.
    pub(crate) fn settle(&mut self, now: u128, id: usize, cost: impl FnOnce(Cost) -> [u64; 6]) {
        let (nth, charged) = self.ends(id);
        let (shown, cost) = (self.shown(now), cost(charged));
        let mut more = [0; 6];
        for (of, dimension) in ALL[..6].iter().enumerate() {
            let Some(rate) = rate(&self.limits, *dimension).filter(|_| !matches!(of, 0 | 4)) else { continue };
            let charged = tokens(*dimension, charged);
            self.charges[nth].1[of] -= u128::from(charged.saturating_sub(cost[of])) * rate.token;
            more[of] = u128::from(cost[of].saturating_sub(charged)) * rate.token;
        }
        self.charges.push((shown, more));
    }

    /// It was told to stop: so are all others, until `opens`.
    pub(crate) fn stop(&mut self, now: u128, id: usize, opens: u128) {
        let nth = self.charge_of.iter().find(|(of, ..)| *of == id).unwrap().1;
        let is_new = self.stops.last().is_none_or(|stop| nth >= stop.after);
        let speed = 1000
            - self.stops.last().map_or(0, |stop| stop.slow * (MINUTE - (now.max(stop.opens) - stop.opens).min(MINUTE)) / MINUTE);
        let slow = 1000 - if is_new { (speed * 7 / 10).max(100) } else { speed };
        let after = self.charges.len();
        match self.stops.last_mut().filter(|stop| now < stop.opens) {
            Some(stop) => *stop = Stop { opens: stop.opens.max(opens), slow: stop.slow.max(slow), after, ..*stop },
            None => self.stops.push(Stop { closed: now, opens, slow, after }),
        }
        // What is there goes as if it were charged: of requests, or of tokens where those are not limited.
        let requests = self.limits.get(D::Requests).is_some();
        let (shown, mut gone) = (self.shown(now), [0; 6]);
        for (of, dimension) in ALL[..4].iter().enumerate().filter(|(of, _)| (*of == 0) == requests) {
            if let Some(rate) = rate(&self.limits, *dimension) {
                gone[of] = rate.most.saturating_sub(self.missing(now, of, rate));
            }
        }
        self.charges.push((shown, gone));
    }

    pub(crate) fn left(&self, now: u128, dimension: D) -> Option<u64> {
        let limit = self.limits.get(dimension)?;
        let Some(rate) = rate(&self.limits, dimension) else { return Some(limit.saturating_sub(self.under_way)) };
        u64::try_from(rate.most.saturating_sub(self.missing(now, dimension as usize, rate)) / rate.token).ok()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    pub(crate) fn counts_until_the_end(&self) -> bool {
        [1, 2, 3, 5, 6].iter().any(|of| self.limits.get(ALL[*of]).is_some())
    }

    fn pass(&mut self, now: u128, id: usize, cost: Cost) {
        let units =
            |dimension: D| rate(&self.limits, dimension).map_or(0, |rate| u128::from(tokens(dimension, cost)) * rate.token);
        let units = std::array::from_fn(|of| units(ALL[of]));
        self.charge_of.push((id, self.charges.len(), cost));
        self.charges.push((self.shown(now), units));
        self.under_way += u64::from(self.counts_until_the_end());
        self.passed.push((id, now));
    }

    fn ends(&mut self, id: usize) -> (usize, Cost) {
        self.under_way -= u64::from(self.counts_until_the_end());
        let (_, nth, cost) = *self.charge_of.iter().find(|(of, ..)| *of == id).unwrap();
        (nth, cost)
    }

    fn fits(&self, now: u128, cost: Cost) -> bool {
        let is_open = self.stops.last().is_none_or(|stop| now >= stop.opens);
        let has_room = self.limits.get(D::Concurrency).is_none_or(|most| self.under_way < most);
        let is_there = |dimension: &D| {
            rate(&self.limits, *dimension).is_none_or(|rate| {
                let needed = (u128::from(tokens(*dimension, cost)) * rate.token).min(rate.most);
                self.missing(now, *dimension as usize, rate) + needed <= rate.most
            })
        };
        is_open && has_room && ALL.iter().all(is_there)
    }

    fn missing(&self, now: u128, of: usize, rate: Rate) -> u128 {
        let (mut missing, mut at) = (0_u128, 0);
        for (then, units) in &self.charges {
            missing = missing.saturating_sub((then - at) * rate.per_nano) + units[of];
            at = *then;
        }
        missing.saturating_sub((self.shown(now) - at) * rate.per_nano)
    }

    /// What the clock shows that stands still while the gate is closed and is slow for a minute afterwards.
    fn shown(&self, now: u128) -> u128 {
        let ends = self.stops.iter().skip(1).map(|next| next.closed).chain([now]);
        let lost = |(stop, end): (&Stop, u128)| {
            let closed = end.min(stop.opens) - stop.closed;
            let open = (end.max(stop.opens) - stop.opens).min(MINUTE);
            // The mean of how slow it is at the one end and at the other, both times a minute.
            let slow = stop.slow * MINUTE + stop.slow * (MINUTE - open);
            closed + (slow * open).div_ceil(2 * MINUTE * 1000)
        };
        now - self.stops.iter().zip(ends).map(lost).sum::<u128>()
    }
}
