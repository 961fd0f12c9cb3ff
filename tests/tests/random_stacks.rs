//! Random stacks of all layers over random providers, whose callers leave at random moments: every call ends, and nothing is left of it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceExt, service_fn};
use towline::{
    BoxError, Call, CallLayer, CircuitBreakerLayer, Error, FailureKind, FallbackLayer, RateLimitLayer, RetryLayer, Target,
    TimeoutLayer, stack,
};
use towline_testkit::Probe;

/// What a target does each time it is asked, and after how many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Does {
    Status(u16, u64),
    Refuse,
    Silence,
}

#[derive(Clone, Debug)]
struct Plan {
    /// One for each target.
    targets: Vec<Does>,
    attempts: u32,
    opens_after: u32,
    per_minute: u32,
    head: u64,
    deadline: u64,
    /// When each caller leaves; none waits to the end.
    callers: Vec<Option<u64>>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let status = (prop::sample::select(vec![200_u16, 200, 400, 429, 500, 503]), 0..3000_u64);
    let does = prop_oneof![5 => status.prop_map(|(code, after)| Does::Status(code, after)), 1 => Just(Does::Refuse), 1 => Just(Does::Silence)];
    let callers = prop::collection::vec(prop::option::weighted(0.5, 0..9000_u64), 1..6);
    let times = (100..4000_u64, 500..20_000_u64);
    (prop::collection::vec(does, 1..5), 1..5_u32, 1..6_u32, 6..600_u32, times, callers).prop_map(
        |(targets, attempts, opens_after, per_minute, (head, deadline), callers)| Plan {
            targets,
            attempts,
            opens_after,
            per_minute,
            head,
            deadline,
            callers,
        },
    )
}

type Asked = Arc<Mutex<Vec<(usize, Instant)>>>;

async fn transport(plan: Arc<Plan>, asked: Asked, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let at: usize = Target::of(request.extensions()).unwrap().name().parse()?;
    let call = Call::of(request.extensions()).unwrap();
    assert!(call.remaining(Instant::now()).is_some_and(|left| !left.is_zero()), "sent after the deadline");
    asked.lock().push((at, Instant::now()));
    match plan.targets[at] {
        Does::Status(status, after) => {
            sleep(Duration::from_millis(after)).await;
            Ok(Response::builder().status(status).body(Full::from("{}"))?)
        }
        Does::Refuse => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()),
        Does::Silence => std::future::pending().await,
    }
}

async fn run(plan: Plan, seed: u64) {
    let (plan, asked) = (Arc::new(plan), Asked::default());
    let (of_plan, log) = (Arc::clone(&plan), Arc::clone(&asked));
    let (transport, report) =
        Probe::with_limit(service_fn(move |request| transport(Arc::clone(&of_plan), Arc::clone(&log), request)), 3);
    let names = (0..plan.targets.len()).map(|nth| Target::new(nth.to_string(), format!("http://t{nth}")).unwrap());
    let limiter = RateLimitLayer::requests_per_minute(NonZeroU32::new(plan.per_minute).unwrap());
    // A limit that never passes is refused.
    let head = plan.head.min(plan.deadline - 1);
    let service = stack(transport)
        .call(CallLayer::new().deadline(Duration::from_millis(plan.deadline)).unwrap())
        .fallback(FallbackLayer::new(names).unwrap().seed(seed))
        .retry(RetryLayer::new().attempts(plan.attempts).unwrap().seed(seed))
        .circuit_breaker(CircuitBreakerLayer::new().consecutive_failures(plan.opens_after).unwrap())
        .rate_limit(limiter.clone())
        .attempt_timeout(TimeoutLayer::attempt().head(Duration::from_millis(head)).unwrap())
        .build()
        .unwrap();

    for leaves in &plan.callers {
        let (began, before) = (Instant::now(), asked.lock().len());
        let request = Request::post("/v1/messages").body(Full::<Bytes>::from("{}")).unwrap();
        let call = async {
            let response = service.clone().oneshot(request).await?;
            let (head, body) = response.into_parts();
            Ok::<_, Error>((head, body.collect().await?))
        };
        let patience = leaves.map_or(Duration::from_secs(3600), Duration::from_millis);
        let answer = timeout(patience, call).await.ok();
        // The timer of tokio counts whole milliseconds.
        assert!(began.elapsed() <= Duration::from_millis(plan.deadline + 2), "{:?}", began.elapsed());
        assert_eq!((report.live(), report.reserved()), (0, 0), "nothing is under way, and no place is held");
        let waiting = (0..plan.targets.len()).map(|at| limiter.handle().waiting(Some(&at.to_string()))).sum::<usize>();
        assert_eq!(waiting, 0, "nobody stands in line");

        let sent = asked.lock()[before..].to_vec();
        let most = 4 * (plan.attempts as usize + 1);
        assert!(sent.len() <= most, "{} attempts", sent.len());
        let mut order: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
        order.dedup();
        let mut once = order.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), order.len(), "to no target twice: {order:?}");
        if let Some(Ok((head, _))) = &answer
            && head.status == 200
        {
            let who: usize = Target::of(&head.extensions).unwrap().name().parse().unwrap();
            assert_eq!(order.last(), Some(&who), "nobody is asked after an answer");
        }
        if let Some(Err(error)) = &answer {
            assert!(error.call().is_some() || error.kind() == FailureKind::DeadlineExceeded, "{error:?}");
        }
    }
    report.assert_clean();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_in_time_and_nothing_is_left_of_it(plan in plans(), seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(plan, seed));
    }
}
