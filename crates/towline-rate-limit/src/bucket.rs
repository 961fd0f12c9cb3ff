//! A token bucket with debt, exact to the nanosecond and after every refund.

use std::time::Duration;

use self::lows::Lows;

mod lows;

/// How a [`Bucket`] is filled, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Units that come in each nanosecond; at least 1. No number of nanoseconds overflows what they bring.
    per_nano: u64,
    /// Units of one token.
    token: u64,
    /// Units that the full bucket holds; at least those of one token.
    capacity: u128,
}

/// A bucket of tokens that fills steadily and is full at the start.
///
/// It counts in units that are small enough for every rate to be a whole number of them per nanosecond, so that nothing
/// is rounded and nothing drifts. What it holds is told by what it lacks: `missing` is zero when it is full, and above
/// the capacity when it is in debt.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    missing: u128,
    /// When it was last filled, in nanoseconds of the clock of the books, as every `now` is.
    at: u64,
    /// How many charges there have been before this bucket was made, and in all.
    first: u64,
    charges: u64,
    lows: Lows,
}

/// Shares of a limit are whole thousandths.
const THOUSAND: u64 = 1000;
pub(crate) const MINUTE: u64 = 60_000_000_000;
pub(crate) const DAY: u64 = 1440 * MINUTE;

impl Rate {
    /// `thousandths` of `limit` in a window of so many nanoseconds, and a bucket of `burst` tokens, or of what comes in
    /// `pause` nanoseconds; of one at least.
    pub(crate) fn new(window: u64, limit: u64, thousandths: u32, burst: Option<u64>, pause: u64) -> Self {
        let token = window.saturating_mul(THOUSAND);
        let per_nano = limit.saturating_mul(thousandths.into()).max(1);
        let capacity = burst.map_or_else(|| product(per_nano, pause), |tokens| product(tokens, token));
        Self { per_nano, token, capacity: capacity.max(token.into()) }
    }

    /// How long an empty bucket needs until it is full.
    pub(crate) fn fills_in(self) -> Duration {
        self.time_for(self.capacity)
    }

    /// How long `units` take to come in, rounded up: never early.
    fn time_for(self, units: u128) -> Duration {
        Duration::from_nanos(u64::try_from(units.div_ceil(self.per_nano.into())).unwrap_or(u64::MAX))
    }

    #[inline]
    fn units(self, tokens: u64) -> u128 {
        product(tokens, self.token)
    }

    const fn whole_tokens(self, units: u128) -> u64 {
        let tokens = units / self.token as u128;
        if tokens > u64::MAX as u128 { u64::MAX } else { tokens as u64 }
    }
}

impl Bucket {
    /// A full bucket, made after `charges` others had been told of.
    pub(crate) fn new(rate: Rate, now: u64, charges: u64) -> Self {
        Self { rate, missing: 0, at: now, first: charges, charges, lows: Lows::new() }
    }

    /// Fills at another rate from now on. What is lacking stays lacking, in tokens.
    pub(crate) fn change(&mut self, now: u64, rate: Rate) {
        self.fill(now);
        self.rate = rate;
    }

    /// Takes `cost` tokens, whether or not they are there.
    ///
    /// What costs more than the bucket can hold waits until it is full, and leaves it in debt.
    #[inline]
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.fill(now);
        self.raise(self.missing.saturating_add(self.rate.units(cost)));
    }

    /// Whether `cost` tokens are there, or the bucket is full.
    #[inline]
    pub(crate) fn has(&mut self, now: u64, cost: u64) -> bool {
        self.fill(now);
        self.fits(self.missing.saturating_add(self.rate.units(cost)))
    }

    /// Takes `cost` tokens if they are there, or the bucket is full.
    #[inline]
    pub(crate) fn pass(&mut self, now: u64, cost: u64) -> bool {
        self.fill(now);
        let missing = self.missing.saturating_add(self.rate.units(cost));
        let fits = self.fits(missing);
        if fits {
            self.raise(missing);
        }
        fits
    }

    /// How long it takes until `cost` tokens are there for one before whom `ahead` tokens will be taken.
    pub(crate) fn wait(&mut self, now: u64, ahead: u64, cost: u64) -> Duration {
        self.fill(now);
        let needed = self.rate.units(cost).min(self.rate.capacity).saturating_add(self.rate.units(ahead));
        self.rate.time_for(self.missing.saturating_add(needed).saturating_sub(self.rate.capacity))
    }

    /// Gives `tokens` of charge number `nth` back: from now on all is as if they had never been charged.
    ///
    /// That may be less than what was charged. A bucket that was full again in between would have been full without the
    /// charge as well, and what would have come in then would have run over; to give that back would let more pass than
    /// the limit allows.
    pub(crate) fn refund(&mut self, now: u64, nth: u64, tokens: u64) {
        if nth < self.first {
            return;
        }
        self.fill(now);
        self.lows.note(self.charges, self.missing);
        self.missing = self.missing.saturating_sub(self.lows.give_back(nth, self.rate.units(tokens)));
    }

    /// The whole tokens that are there.
    pub(crate) fn available(&mut self, now: u64) -> u64 {
        self.fill(now);
        self.rate.whole_tokens(self.rate.capacity.saturating_sub(self.missing))
    }

    /// Believes that no more than `left` tokens are there. What is owed stays owed.
    pub(crate) fn lower(&mut self, now: u64, left: u64) {
        self.fill(now);
        let missing = self.rate.capacity.saturating_sub(self.rate.units(left));
        self.raise(self.missing.max(missing));
    }

    /// Whether every refund gives back all that it should.
    #[cfg(test)]
    pub(crate) fn is_exact(&self) -> bool {
        self.lows.len() < lows::MOST
    }

    /// Whether so much may be missing after a charge.
    #[inline]
    const fn fits(&self, missing: u128) -> bool {
        self.missing == 0 || missing <= self.rate.capacity
    }

    /// A charge that leaves so much missing.
    #[inline]
    fn raise(&mut self, missing: u128) {
        self.lows.note(self.charges, self.missing);
        self.missing = missing;
        self.charges = self.charges.wrapping_add(1);
    }

    /// A `now` from before the last one, as a thread that was delayed may bring it, changes nothing.
    #[inline]
    fn fill(&mut self, now: u64) {
        if now > self.at {
            self.missing = self.missing.saturating_sub(product(now - self.at, self.rate.per_nano));
            self.at = now;
        }
    }
}

/// What never overflows, and is one instruction.
const fn product(a: u64, b: u64) -> u128 {
    a as u128 * b as u128
}

#[cfg(test)]
mod tests;
