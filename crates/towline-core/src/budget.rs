//! A retry budget that successes pay for.

use std::{
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
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn failure() -> Failure {
        Failure::new(FailureKind::ServerError)
    }

    /// The rules, said plainly: fractions of a token as floats, one thing after the other.
    struct Model {
        tokens: f64,
        since: f64,
        cap: f64,
    }

    impl Model {
        fn take(&mut self, cost: f64, now: f64) -> bool {
            if self.tokens < 1.0 - 1e-9 && now - self.since >= 10.0 - 1e-9 {
                self.tokens = (self.tokens + 1.0).min(self.cap);
            }
            let before = self.tokens;
            if before + 1e-9 < cost {
                return false;
            }
            self.tokens -= cost;
            if self.tokens < 1.0 - 1e-9 && before >= 1.0 - 1e-9 {
                self.since = now;
            }
            true
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Success,
        Retry { throttled: bool, end: u8 },
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Success),
            4 => (any::<bool>(), 0..3_u8).prop_map(|(throttled, end)| Step::Retry { throttled, end }),
            1 => (0..300_u64).prop_map(|tenths| Step::Wait(tenths * 100)),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn the_books_agree_with_the_plain_rules(steps in steps(), per_success in 1..=1000_u32, cap in 1..50_u32, initial in 0..50_u32) {
            let initial = initial.min(cap);
            let budget = RetryBudget::new(f64::from(per_success) / 1000.0, cap, initial).unwrap();
            let mut now = budget.0.began;
            let mut model = Model { tokens: f64::from(initial), since: 0.0, cap: f64::from(cap) };
            for step in steps {
                match step {
                    Step::Success => {
                        budget.succeeded();
                        model.tokens = (model.tokens + f64::from(per_success) / 1000.0).min(f64::from(cap));
                    }
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Retry { throttled, end } => {
                        let (failure, cost) = if throttled {
                            (Failure::new(FailureKind::RateLimited).retry_after(Duration::from_secs(1)), 0.35)
                        } else {
                            (failure(), 1.0)
                        };
                        let at = (now - budget.0.began).as_secs_f64();
                        // A trickle that did not suffice is not written down by either: the model takes it back too.
                        let (tokens, since) = (model.tokens, model.since);
                        let expected = model.take(cost, at);
                        if !expected {
                            (model.tokens, model.since) = (tokens, since);
                        }
                        let withdrawal = budget.withdraw(&failure, now);
                        prop_assert_eq!(withdrawal.is_some(), expected, "at {} with {} tokens", at, tokens);
                        let Some(mut withdrawal) = withdrawal else { continue };
                        let back = |model: &mut Model| model.tokens = (model.tokens + cost).min(f64::from(cap));
                        match end {
                            0 => { drop(withdrawal); back(&mut model) }
                            1 => { withdrawal.spend(); drop(withdrawal) }
                            _ => { withdrawal.spend(); withdrawal.succeeded(); back(&mut model) }
                        }
                    }
                }
                prop_assert!((budget.tokens() - model.tokens).abs() < 1e-6, "{} instead of {}", budget.tokens(), model.tokens);
            }
        }
    }

    #[test]
    fn fractions_are_exact() {
        for (per_success, successes) in [(0.3, 10), (0.9, 10), (0.001, 1000)] {
            let budget = RetryBudget::new(per_success, 100, 0).unwrap();
            (0..successes).for_each(|_| budget.succeeded());
            let expected = per_success * f64::from(successes);
            assert!((budget.tokens() - expected).abs() < 1e-9, "{per_success}: {}", budget.tokens());
        }
    }

    #[test]
    fn a_total_outage_costs_what_was_saved_and_a_trickle() {
        let budget = RetryBudget::default();
        let mut sent = 0;
        for second in 0..600 {
            let now = budget.0.began + Duration::from_secs(second);
            while let Some(mut retry) = budget.withdraw(&failure(), now) {
                retry.spend();
                sent += 1;
            }
        }
        // Ten that were saved, and one for each ten seconds since those were gone.
        assert!((60..=71).contains(&sent), "{sent}");
    }

    #[test]
    fn a_fleet_of_idle_processes_does_not_multiply_the_budget() {
        // A thousand processes with a call each ten seconds, half of which fail, each worth two retries.
        let template = RetryBudget::default();
        let fleet: Vec<_> = (0..1000).map(|_| template.for_fleet(NonZeroU32::new(1000).unwrap())).collect();
        let (mut calls, mut retries) = (0, 0);
        for round in 1..=60_u64 {
            for (nth, budget) in fleet.iter().enumerate() {
                let now = budget.0.began + Duration::from_secs(round * 10);
                calls += 1;
                if (nth as u64 + round).is_multiple_of(2) {
                    budget.succeeded();
                    continue;
                }
                for _ in 0..2 {
                    if let Some(mut retry) = budget.withdraw(&failure(), now) {
                        retry.spend();
                        retries += 1;
                    }
                }
            }
        }
        let load = f64::from(calls + retries) / f64::from(calls);
        assert!(load <= 1.15 && retries > 0, "{load}");
    }

    #[test]
    fn threads_neither_lose_nor_make_tokens() {
        let budget = RetryBudget::new(1.0, 1_000_000, 0).unwrap();
        let now = budget.0.began;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..50_000 {
                        budget.succeeded();
                        let withdrawn = (n % 2 == 0).then(|| budget.withdraw(&failure(), now)).flatten();
                        if let Some(mut retry) = withdrawn {
                            retry.spend();
                        }
                    }
                });
            }
        });
        // Each thread pays in before it takes, so no withdrawal was refused.
        assert_eq!(budget.tokens(), 100_000.0);
    }

    #[test]
    fn a_full_budget_overflows_nothing() {
        let budget = RetryBudget::new(1.0, 1_000_000, 1_000_000).unwrap();
        (0..1_000_000).for_each(|_| budget.succeeded());
        assert_eq!(budget.tokens(), 1_000_000.0);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(RetryBudget::new(0.0, 10, 1).unwrap_err().field(), "per_success");
        assert_eq!(RetryBudget::new(f64::NAN, 10, 1).unwrap_err().field(), "per_success");
        assert_eq!(RetryBudget::new(0.1, 0, 0).unwrap_err().field(), "cap");
        assert_eq!(RetryBudget::new(0.1, 5, 6).unwrap_err().field(), "initial");
    }
}
