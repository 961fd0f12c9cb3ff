use proptest::prelude::*;
use towline_core::{Hint, Jitter};

use super::*;

const KINDS: [FailureKind; 17] = {
    use FailureKind as K;
    [
        K::RateLimited,
        K::QuotaExhausted,
        K::Overloaded,
        K::ServerError,
        K::Timeout(Phase::Connect),
        K::Timeout(Phase::Head),
        K::Timeout(Phase::FirstContent),
        K::Timeout(Phase::Total),
        K::Timeout(Phase::Upstream),
        K::Connect,
        K::Transport,
        K::StreamBroken,
        K::Malformed,
        K::Conflict,
        K::InvalidRequest,
        K::CircuitOpen,
        K::DeadlineExceeded,
    ]
};

fn failures() -> impl Strategy<Value = Failure> {
    let verdict = prop_oneof![Just(RetryVerdict::Never), Just(RetryVerdict::Once), Just(RetryVerdict::Backoff)];
    let scope = prop_oneof![Just(Scope::Request), Just(Scope::Model), Just(Scope::Credential), Just(Scope::Provider)];
    let hint = (proptest::option::of(0..100_000_u64), proptest::option::of(any::<bool>()));
    (proptest::sample::select(&KINDS[..]), proptest::option::of(verdict), proptest::option::of(scope), hint).prop_map(
        |(kind, verdict, scope, (after, should))| {
            let usual = Failure::new(kind);
            let hint = Hint::none().with_retry_after(after.map(Duration::from_millis)).with_should_retry(should);
            let (verdict, scope) = (verdict.unwrap_or(usual.retry), scope.unwrap_or(usual.scope));
            usual.retry(verdict).scope(scope).hint(hint)
        },
    )
}

/// The table of the crate's page, line by line, in seconds. The least and the most wait, whether it is free; or why not.
fn model(attempts: u32, table: Option<u32>, failed: &Failed<'_>) -> Result<(f64, f64, bool), StopReason> {
    let failure = failed.failure;
    if failure.origin != Origin::Upstream || failure.hint.should_retry == Some(false) {
        return Err(StopReason::NotRetryable);
    }
    let lifted = failure.hint.should_retry == Some(true) && failure.scope != Scope::Request && failure.scope != Scope::Credential;
    if failure.retry == RetryVerdict::Never && !lifted {
        return Err(StopReason::NotRetryable);
    }
    let silent = [Phase::Head, Phase::FirstContent, Phase::Total].map(FailureKind::Timeout).contains(&failure.kind);
    let elsewhere = failed.has_alternative && failure.kind == FailureKind::RateLimited;
    let attempts = failed.own.map_or(attempts, NonZeroU32::get);
    let most = match table {
        Some(most) => most,
        None if silent => return Err(StopReason::NotRetryable),
        None if failure.retry == RetryVerdict::Once || elsewhere => attempts.min(2),
        None => attempts,
    };
    let left = failed.remaining.map_or(f64::INFINITY, |left| left.as_secs_f64());
    if failure.kind == FailureKind::Connect && !failed.free_made && most > 1 {
        return if left <= 0.0 { Err(StopReason::Deadline) } else { Ok((0.0, 0.0, true)) };
    }
    if failed.attempts >= most {
        return Err(StopReason::Attempts);
    }
    let throttled = matches!(failure.kind, FailureKind::RateLimited | FailureKind::Overloaded);
    let (base, cap) = match (throttled, failed.status.map(|s| s.as_u16())) {
        (true, _) => (1.0, 20.0),
        (false, Some(502)) if failure.kind == FailureKind::ServerError => (0.1, 8.0),
        (false, _) => (0.5, 8.0),
    };
    let (least, most) = match failure.hint.retry_after.map(|after| after.as_secs_f64()) {
        Some(hint) if hint > 60.0 || (elsewhere && hint > 2.0) => return Err(StopReason::WaitTooLong),
        Some(hint) => (hint, hint + (hint / 10.0 + 0.25).min(5.0)),
        None => (0.0, f64::min(base * 2_f64.powf(f64::from(failed.attempts) - 1.0), cap)),
    };
    // Chance may yet carry the wait past the deadline; the test looks at that.
    if least >= left { Err(StopReason::Deadline) } else { Ok((least, most, false)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn decisions_agree_with_the_page(
        failure in failures(),
        attempts in 1..5_u32,
        table in proptest::option::of(0..5_u32),
        made in prop_oneof![3 => 1..5_u32, 1 => Just(1_000_000)],
        free_made: bool,
        has_alternative: bool,
        status in proptest::option::of(proptest::sample::select(&[408_u16, 429, 500, 502, 503][..])),
        own in proptest::option::of(1..5_u32),
        remaining in proptest::option::of(0..120_000_u64),
        seed: u64,
    ) {
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        let (remaining, own) = (remaining.map(Duration::from_millis), own.and_then(NonZeroU32::new));
        let failed = Failed { failure: &failure, status, attempts: made, free_made, has_alternative, own, remaining };
        let mut policy = Policy { attempts: NonZeroU32::new(attempts).unwrap(), ..Policy::default() };
        if let Some(most) = table {
            policy.table = Some(Arc::new(move |_| Some(most)));
        }
        let jitter = Jitter::seeded(seed);
        let decision = policy.decide(&failed, |most| jitter.up_to(most));
        match (decision, model(attempts, table, &failed)) {
            (Decision::Stop(reason), Err(expected)) => prop_assert_eq!(reason, expected),
            (Decision::Retry { wait, free }, Ok((least, most, expected))) => {
                prop_assert_eq!(free, expected);
                let wait = wait.as_secs_f64();
                prop_assert!(least - 1e-9 <= wait && wait <= most + 1e-9, "{} not in {}..{}", wait, least, most);
                prop_assert!(remaining.is_none_or(|left| wait < left.as_secs_f64()));
            }
            (Decision::Stop(StopReason::Deadline), Ok((_, most, _))) => {
                prop_assert!(remaining.is_some_and(|left| left.as_secs_f64() <= most));
            }
            (decision, expected) => prop_assert!(false, "{:?} instead of {:?}", decision, expected),
        }
    }
}

fn after(failure: &Failure, attempts: u32) -> Decision {
    Policy::default().decide(
        &Failed { failure, status: None, attempts, free_made: false, has_alternative: false, own: None, remaining: None },
        |most| most,
    )
}

#[test]
fn a_word_of_the_provider_lifts_a_verdict_but_not_on_the_request_or_the_account() {
    let told = Hint::none().with_should_retry(Some(true));
    let unsupported = Failure::new(FailureKind::ServerError).scope(Scope::Model).retry(RetryVerdict::Never);
    assert!(matches!(after(&unsupported.clone().hint(told), 1), Decision::Retry { .. }));
    assert_eq!(after(&unsupported, 1), Decision::Stop(StopReason::NotRetryable));
    for kind in [FailureKind::InvalidRequest, FailureKind::QuotaExhausted, FailureKind::Auth] {
        assert_eq!(after(&Failure::new(kind).hint(told), 1), Decision::Stop(StopReason::NotRetryable), "{kind}");
    }
}

#[test]
fn a_retry_after_of_fifteen_days_is_not_waited_for_though_a_retry_is_asked_for() {
    let hint = Hint::none().with_retry_after(Some(Duration::from_secs(15 * 86_400))).with_should_retry(Some(true));
    assert_eq!(after(&Failure::new(FailureKind::RateLimited).hint(hint), 1), Decision::Stop(StopReason::WaitTooLong));
}

#[test]
fn a_hint_beyond_all_measure_overflows_nothing() {
    let failure = Failure::new(FailureKind::RateLimited).retry_after(Duration::MAX);
    let policy = Policy { max_server_delay: Duration::MAX, ..Policy::default() };
    let failed = Failed {
        failure: &failure,
        status: None,
        attempts: 1,
        free_made: false,
        has_alternative: false,
        own: None,
        remaining: None,
    };
    assert_eq!(policy.decide(&failed, |most| most), Decision::Retry { wait: Duration::MAX, free: false });
}

#[test]
fn a_wait_that_ends_with_the_deadline_leaves_no_time_to_ask() {
    let failure = Failure::new(FailureKind::ServerError).retry_after(Duration::from_secs(5));
    let after = |remaining| {
        let failed = Failed {
            failure: &failure,
            status: None,
            attempts: 1,
            free_made: false,
            has_alternative: false,
            own: None,
            remaining: Some(remaining),
        };
        Policy::default().decide(&failed, |_| Duration::ZERO)
    };
    let five = Duration::from_secs(5);
    assert_eq!(after(five), Decision::Stop(StopReason::Deadline));
    assert_eq!(after(five + Duration::from_nanos(1)), Decision::Retry { wait: five, free: false });
}
