//! Which injections a request meets. Pure but for the counters.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Uri};
use towline_core::{FailureKind, Jitter};

use super::injection::{BodyFault, Injection, What, When};

/// An injection at work: how many requests it has seen, and its own chance.
#[derive(Debug)]
pub(super) struct Rule {
    injection: Injection,
    seen: AtomicU64,
    jitter: Jitter,
}

/// All that becomes of one request.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) wait: Duration,
    pub(super) given: Option<Given>,
    pub(super) fault: Option<BodyFault>,
}

/// What takes the place of the real answer.
#[derive(Debug)]
pub(super) enum Given {
    Response(Response<Bytes>),
    Failure(FailureKind),
}

impl Rule {
    pub(super) fn new(injection: Injection, seed: u64) -> Self {
        Self { injection, seen: AtomicU64::new(0), jitter: Jitter::seeded(seed) }
    }

    fn meets(&self, target: Option<&str>, uri: &Uri) -> bool {
        if !self.injection.is_for(target, uri) {
            return false;
        }
        let nth = self.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match self.injection.when {
            When::Always => true,
            When::Probability(billionths) => {
                let drawn = self.jitter.up_to(Duration::from_nanos(999_999_999));
                u64::from(drawn.subsec_nanos()) < billionths
            }
            When::Every(n) => nth % n == 0,
            When::First(n) => nth <= n,
        }
    }
}

impl Plan {
    /// Every rule sees every request, so that one does not change what another does; of several answers the first counts, and of
    /// several faults of the body too. A body that is not asked for has none.
    pub(super) fn make(rules: &[Rule], target: Option<&str>, uri: &Uri) -> Self {
        let mut plan = Self::default();
        for rule in rules.iter().filter(|rule| rule.meets(target, uri)) {
            match &rule.injection.what {
                What::Respond(response) => {
                    plan.given.get_or_insert_with(|| Given::Response(response.clone()));
                }
                What::Fail(kind) => {
                    plan.given.get_or_insert(Given::Failure(*kind));
                }
                What::Delay(wait) => plan.wait = plan.wait.saturating_add(*wait),
                What::DelayUpTo(most) => plan.wait = plan.wait.saturating_add(rule.jitter.up_to(*most)),
                What::Body(fault) => {
                    plan.fault.get_or_insert(*fault);
                }
            }
        }
        if plan.given.is_some() {
            plan.fault = None;
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towline_core::FailureKind;

    use super::*;

    fn hits(injection: &Injection, seed: u64, requests: usize) -> Vec<bool> {
        let rules = [Rule::new(injection.clone(), seed)];
        (0..requests).map(|_| Plan::make(&rules, None, &Uri::from_static("http://a/")).given.is_some()).collect()
    }

    fn fail() -> Injection {
        Injection::fail(FailureKind::Connect)
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let rare = fail().probability(0.3).unwrap();
        assert_eq!(hits(&rare, 7, 1000), hits(&rare, 7, 1000));
        assert_ne!(hits(&rare, 7, 1000), hits(&rare, 8, 1000));
    }

    #[test]
    fn a_probability_is_met_over_ten_thousand_draws() {
        for (percent, seed) in [(1_u32, 1), (10, 2), (50, 3), (90, 4)] {
            let p = f64::from(percent) / 100.0;
            let met = hits(&fail().probability(p).unwrap(), seed, 10_000).iter().filter(|hit| **hit).count();
            // Four standard deviations either side: a fair draw misses them once in 16,000.
            let (mean, spread) = (p * 10_000.0, 4.0 * (10_000.0 * p * (1.0 - p)).sqrt());
            assert!((met as f64 - mean).abs() <= spread, "{percent} %: {met}");
        }
        assert!(hits(&fail().probability(0.0).unwrap(), 5, 10_000).iter().all(|hit| !hit));
        assert!(hits(&fail().probability(1.0).unwrap(), 5, 10_000).iter().all(|hit| *hit));
    }

    #[test]
    fn a_probability_that_is_none_is_refused_by_name() {
        for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(fail().probability(p).unwrap_err().field(), "probability");
        }
    }

    #[test]
    fn the_first_answer_counts_and_waits_add_up() {
        let second = std::time::Duration::from_secs(1);
        let rules = [
            Injection::delay(second),
            Injection::fail(FailureKind::Transport),
            Injection::cut(1),
            Injection::fail(FailureKind::Connect),
            Injection::delay(second),
        ]
        .map(|injection| Rule::new(injection, 0));
        let plan = Plan::make(&rules, None, &Uri::default());
        assert!(matches!(plan.given, Some(Given::Failure(FailureKind::Transport))));
        assert_eq!(plan.wait, second * 2);
        assert!(plan.fault.is_none(), "there is no body to cut");
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_requests_it_is_for(
            requests in prop::collection::vec((0..3_usize, 0..3_usize), 0..60),
            n in 1..5_u64,
            every: bool,
            target in prop::option::of(0..3_usize),
            host in prop::option::of(0..3_usize),
        ) {
            const NAMES: [&str; 3] = ["a", "b", "c"];
            const URIS: [&str; 3] = ["http://x.test/v1", "http://x.test:81/v1", "http://y.test"];
            const HOSTS: [&str; 3] = ["x.test", "x.test:81", "y.test"];
            let mut injection = if every { fail().every(n.try_into().unwrap()) } else { fail().first(n) };
            injection = target.map_or(injection.clone(), |t| injection.for_target(NAMES[t]));
            injection = host.map_or(injection.clone(), |h| injection.for_host(HOSTS[h]));
            let rules = [Rule::new(injection, 0)];
            let mut seen = 0;
            for (t, u) in requests {
                let plan = Plan::make(&rules, Some(NAMES[t]), &Uri::from_static(URIS[u]));
                let concerns = target.is_none_or(|want| want == t) && host.is_none_or(|want| want == u || (want == 0 && u == 1));
                seen += u64::from(concerns);
                let meets = concerns && if every { seen % n == 0 } else { seen <= n };
                prop_assert_eq!(plan.given.is_some(), meets);
            }
        }
    }
}
