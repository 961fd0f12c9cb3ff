//! A retry budget that successes pay for.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use crate::{Failure, FailureKind, InvalidConfig};

/// How many retries a target can take, paid for by its successes.
///
/// A budget that every *request* fills keeps the load at 1.1 to 1.2 times its normal for as long as an outage lasts, and a queue that
/// is full stays full. One that only *successes* fill lets the load fall back to normal within seconds, however
/// many clients there are. So: each success adds 0.1 token, up to 20; a retry takes 1, or 0.35 if the provider said when to
/// come back; a retry that succeeds gets its cost back. It starts with 10 tokens. While less than one token
/// is left, one is added every 10 s, so that a client whose every call fails still finds out when that ends.
///
/// Clones share one budget. A success at a full budget is one atomic load.
///
/// ```
/// # use tokio::time::Instant;
/// use towline_core::{Failure, FailureKind, RetryBudget};
///
/// let budget = RetryBudget::new(0.1, 20, 1)?;
/// let failure = Failure::new(FailureKind::ServerError);
/// let mut retry = budget.withdraw(&failure, Instant::now()).expect("one token is there");
/// assert!(budget.withdraw(&failure, Instant::now()).is_none(), "and no second one");
/// retry.spend(); // it was sent
/// retry.succeeded(); // and its cost comes back
/// assert_eq!(budget.tokens(), 1.0);
/// # Ok::<(), towline_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Inner>);

/// One retry's share of a [`RetryBudget`].
///
/// Dropped before [`spend`](Self::spend) it gives its tokens back: what was never sent costs nothing.
#[derive(Debug)]
#[must_use = "dropping a withdrawal gives it back"]
pub struct Withdrawal {
    budget: Arc<Inner>,
    cost: u32,
    spent: bool,
}

#[derive(Debug)]
struct Inner {
    /// Thousandths of a token added by a success.
    deposit: u32,
    /// Thousandths of a token that it holds at most.
    cap: u32,
    /// Thousandths of a token that it starts with.
    initial: u32,
    /// Tenths of a second for one token while less than one is left.
    trickle: u32,
    began: Instant,
    /// Thousandths of a token in the low half; in the high half, in tenths of a second since `began`, the time since which
    /// less than one token has been left.
    state: AtomicU64,
}

const TOKEN: u32 = 1000;
const THROTTLED: u32 = 350;
/// The usual trickle, in tenths of a second for a token.
const TRICKLE: u32 = 100;

impl RetryBudget {
    /// A budget to which a success adds `per_success` tokens (to the thousandth), that holds `cap` of them at most and starts with `initial`.
    ///
    /// # Errors
    ///
    /// `per_success` unless it lies between 0.001 and 1; `cap` unless it lies between 1 and 1,000,000; `initial` if it is above `cap`.
    pub fn new(per_success: f64, cap: u32, initial: u32) -> Result<Self, InvalidConfig> {
        if !(0.001..=1.0).contains(&per_success) {
            return Err(InvalidConfig::new("per_success", "must lie between 0.001 and 1"));
        }
        if !(1..=1_000_000).contains(&cap) {
            return Err(InvalidConfig::new("cap", "must lie between 1 and 1,000,000"));
        }
        if initial > cap {
            return Err(InvalidConfig::new("initial", "must not be above the cap"));
        }
        // In range, as was just checked; `as` also rounds to the nearest thousandth without a surprise.
        Ok(Self::build((per_success * f64::from(TOKEN)).round() as u32, cap * TOKEN, initial * TOKEN, TRICKLE))
    }

    /// A new budget with the settings of this one, full as at the start.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::build(self.0.deposit, self.0.cap, self.0.initial, self.0.trickle)
    }

    /// A new budget for one of `instances` processes that call the same target and do not know of each other.
    ///
    /// What a budget holds at the start, and the trickle, are there for every process however few calls it makes: a thousand idle ones
    /// have ten thousand retries in hand. This one has its share of both, and holds at most its share, but room for one token. What successes pay
    /// in stays as it is, since that grows with the calls.
    #[must_use]
    pub fn for_fleet(&self, instances: NonZeroU32) -> Self {
        let n = instances.get();
        Self::build(self.0.deposit, (self.0.cap / n).max(TOKEN), self.0.initial / n, self.0.trickle.saturating_mul(n))
    }

    /// How many tokens it holds at most, and how many a success adds.
    #[must_use]
    pub fn settings(&self) -> (f64, f64) {
        (f64::from(self.0.cap) / f64::from(TOKEN), f64::from(self.0.deposit) / f64::from(TOKEN))
    }

    /// Adds what a first attempt that succeeded pays in.
    pub fn succeeded(&self) {
        self.0.add(self.0.deposit);
    }

    /// Takes what a retry after `failure` costs; `None` if that much is not left.
    #[must_use]
    pub fn withdraw(&self, failure: &Failure, now: Instant) -> Option<Withdrawal> {
        let cost = match failure.kind {
            FailureKind::RateLimited | FailureKind::Overloaded if failure.hint.retry_after.is_some() => THROTTLED,
            _ => TOKEN,
        };
        self.0.take(cost, now).then(|| Withdrawal { budget: Arc::clone(&self.0), cost, spent: false })
    }

    /// How many tokens are left.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        f64::from(unpack(self.0.state.load(Ordering::Relaxed)).0) / f64::from(TOKEN)
    }

    fn build(deposit: u32, cap: u32, initial: u32, trickle: u32) -> Self {
        Self(Arc::new(Inner { deposit, cap, initial, trickle, began: Instant::now(), state: AtomicU64::new(pack(initial, 0)) }))
    }
}

impl Default for RetryBudget {
    /// 0.1 token for a success, 20 at most, 10 at the start.
    fn default() -> Self {
        Self::build(TOKEN / 10, 20 * TOKEN, 10 * TOKEN, TRICKLE)
    }
}

/// Its settings, as a person reads them.
impl fmt::Display for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [initial, cap, deposit] = [self.0.initial, self.0.cap, self.0.deposit].map(|n| f64::from(n) / f64::from(TOKEN));
        write!(f, "{initial} retries at first, {cap} at most, {deposit} more for each success")
    }
}

impl Withdrawal {
    /// The retry was sent: its tokens are spent unless it succeeds.
    pub fn spend(&mut self) {
        self.spent = true;
    }

    /// The retry succeeded: its tokens come back.
    pub fn succeeded(mut self) {
        self.spent = false;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if !self.spent {
            self.budget.add(self.cost);
        }
    }
}

impl Inner {
    fn add(&self, amount: u32) {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let (tokens, since) = unpack(state);
            let more = tokens.saturating_add(amount).min(self.cap);
            if more == tokens {
                return;
            }
            match self.state.compare_exchange_weak(state, pack(more, since), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => state = seen,
            }
        }
    }

    fn take(&self, cost: u32, now: Instant) -> bool {
        let now = u32::try_from(now.saturating_duration_since(self.began).as_millis() / 100).unwrap_or(u32::MAX);
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let (tokens, since) = unpack(state);
            let trickled = if tokens < TOKEN && now.saturating_sub(since) >= self.trickle { tokens + TOKEN } else { tokens };
            let Some(left) = trickled.min(self.cap).checked_sub(cost) else { return false };
            let since = if left < TOKEN && trickled >= TOKEN { now } else { since };
            match self.state.compare_exchange_weak(state, pack(left, since), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
    }
}

const fn pack(tokens: u32, since: u32) -> u64 {
    (since as u64) << 32 | tokens as u64
}

/// The low half is cut out on purpose.
const fn unpack(state: u64) -> (u32, u32) {
    (state as u32, (state >> 32) as u32)
}

#[cfg(test)]
mod tests;
