//! A token bucket with debt, exact to the nanosecond and after every refund.

use std::time::Duration;

use tokio::time::Instant;

use self::lows::Lows;

mod lows;

/// How a [`Bucket`] is filled, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Units that come in each nanosecond; at least 1.
    per_nano: u128,
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
    at: Instant,
    /// How many charges there have been.
    charges: u64,
    lows: Lows,
}

/// What one request was charged, to be given back if it is never sent.
#[derive(Debug)]
pub(crate) struct Charge {
    nth: u64,
    units: u128,
}

/// Shares of a limit are whole thousandths.
const THOUSAND: u32 = 1000;
const MINUTE: u128 = 60_000_000_000;
const TOKEN: u128 = MINUTE * THOUSAND as u128;

impl Rate {
    /// `thousandths` of `per_minute`, and a bucket of `burst` tokens, or of what comes in a second but at least one.
    pub(crate) fn new(per_minute: u32, thousandths: u32, burst: Option<u32>) -> Self {
        let per_nano = (u128::from(per_minute) * u128::from(thousandths)).max(1);
        let capacity = burst.map_or(per_nano * (MINUTE / 60), |tokens| u128::from(tokens) * TOKEN).max(TOKEN);
        Self { per_nano, capacity }
    }

    /// How long an empty bucket needs until it is full.
    pub(crate) fn fills_in(self) -> Duration {
        self.time_for(self.capacity)
    }

    /// The tokens that a full bucket holds, the last one maybe not whole.
    pub(crate) const fn tokens(self) -> u64 {
        whole_tokens(self.capacity)
    }

    /// How long `units` take to come in, rounded up: never early.
    fn time_for(self, units: u128) -> Duration {
        Duration::from_nanos(u64::try_from(units.div_ceil(self.per_nano)).unwrap_or(u64::MAX))
    }
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, missing: 0, at: now, charges: 0, lows: Lows::new() }
    }

    /// Takes `cost` tokens, or tells how long it takes until they are there.
    ///
    /// What costs more than the bucket can hold waits until it is full, and leaves it in debt.
    pub(crate) fn reserve(&mut self, now: Instant, cost: u64) -> Result<Charge, Duration> {
        let short = self.short(now, 0, cost);
        if short > 0 {
            return Err(self.rate.time_for(short));
        }
        self.lows.note(self.charges, self.missing);
        let charge = Charge { nth: self.charges, units: units(cost) };
        self.missing = self.missing.saturating_add(charge.units);
        self.charges = self.charges.wrapping_add(1);
        Ok(charge)
    }

    /// How long it takes until `cost` tokens are there for one before whom `ahead` tokens will be taken.
    pub(crate) fn wait(&mut self, now: Instant, ahead: u64, cost: u64) -> Duration {
        let short = self.short(now, ahead, cost);
        self.rate.time_for(short)
    }

    /// Gives a charge back: from now on all is as if it had never been made.
    ///
    /// That may be less than what was charged. A bucket that was full again in between would have been full without the
    /// charge as well, and what would have come in then would have run over; to give that back would let more pass than
    /// the limit allows.
    pub(crate) fn refund(&mut self, now: Instant, charge: &Charge) {
        self.fill(now);
        self.lows.note(self.charges, self.missing);
        self.missing = self.missing.saturating_sub(self.lows.give_back(charge.nth, charge.units));
    }

    /// The whole tokens that are there.
    pub(crate) fn available(&mut self, now: Instant) -> u64 {
        self.fill(now);
        whole_tokens(self.rate.capacity.saturating_sub(self.missing))
    }

    /// What is not there yet of `cost` tokens after `ahead` others.
    fn short(&mut self, now: Instant, ahead: u64, cost: u64) -> u128 {
        self.fill(now);
        let needed = units(cost).min(self.rate.capacity).saturating_add(units(ahead));
        self.missing.saturating_add(needed).saturating_sub(self.rate.capacity)
    }

    /// A `now` from before the last one, as a thread that was delayed may bring it, changes nothing.
    fn fill(&mut self, now: Instant) {
        let came_in = now.saturating_duration_since(self.at).as_nanos().saturating_mul(self.rate.per_nano);
        self.missing = self.missing.saturating_sub(came_in);
        self.at = self.at.max(now);
    }
}

fn units(tokens: u64) -> u128 {
    u128::from(tokens).saturating_mul(TOKEN)
}

const fn whole_tokens(units: u128) -> u64 {
    let tokens = units / TOKEN;
    if tokens > u64::MAX as u128 { u64::MAX } else { tokens as u64 }
}

#[cfg(test)]
mod tests;
