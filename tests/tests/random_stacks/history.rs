//! One history: callers who come, and go.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tower::service_fn;
use towline::{
    CallLayer, CircuitBreakerLayer, Dimension, Event, FallbackLayer, Limits, Observe, Phase, RateLimitLayer, RetryBudget,
    RetryLayer, StopReason, Target, TimeoutLayer, stack,
};
use towline_testkit::Probe;
use towline_tests::{Got, ask};

use crate::{
    check::{self, Stop},
    plan::{Caller, Plan},
    settled,
    upstream::{CALLER, Log, transport},
};

/// A call as its caller saw it.
#[derive(Debug)]
pub struct Told {
    pub began: Instant,
    pub ended: Instant,
    /// None if the caller left.
    pub got: Option<Got>,
}

/// The layers whose books are looked at.
pub struct Guards {
    pub breaker: CircuitBreakerLayer,
    pub limiter: RateLimitLayer,
}

/// Where retries ended for want of budget, and who stood in line.
#[derive(Default)]
struct Heard {
    stops: Mutex<Vec<Stop>>,
    waits: Mutex<Vec<Stop>>,
}

impl Observe for Heard {
    fn observe(&self, event: &Event<'_>) {
        let (list, target) = match event {
            Event::RetryStopped { target: Some(target), reason: StopReason::Budget, .. } => (&self.stops, target),
            Event::LimitWaiting { target: Some(target), .. } => (&self.waits, target),
            _ => return,
        };
        list.lock().push(Stop { place: target.name().parse().unwrap(), at: Instant::now() });
    }
}

pub async fn run(plan: Plan, seed: u64) {
    let (plan, log, heard) = (Arc::new(plan), Log::default(), Arc::new(Heard::default()));
    let (of_plan, to) = (Arc::clone(&plan), Log::clone(&log));
    let upstream = service_fn(move |request| transport(Arc::clone(&of_plan), Log::clone(&to), request));
    let (upstream, report) = Probe::with_limit(upstream, if plan.roomy { 100 } else { 3 });
    let guards = guards(&plan, seed, &heard);
    let budget = RetryBudget::new(0.1, 20, plan.tokens).unwrap();
    let limit = Duration::from_millis(plan.head);
    let service = stack(upstream)
        .call(CallLayer::new().deadline(Duration::from_millis(plan.deadline)).unwrap())
        .fallback(fallback(&plan, seed))
        .retry(RetryLayer::new().attempts(plan.attempts).unwrap().budget(budget).seed(seed).observer(Arc::clone(&heard)))
        .circuit_breaker(guards.breaker.clone())
        .rate_limit(guards.limiter.clone())
        .attempt_timeout(TimeoutLayer::attempt().head(limit).unwrap().first_content(limit).unwrap())
        .build()
        .unwrap();

    let start = Instant::now();
    let mut calls = JoinSet::new();
    for (nth, caller) in plan.callers.clone().into_iter().enumerate() {
        let service = service.clone();
        calls.spawn(async move {
            sleep_until(start + Duration::from_millis(caller.comes)).await;
            let began = Instant::now();
            let patience = Duration::from_millis(caller.leaves.unwrap_or(3_600_000));
            let got = timeout(patience, ask(service, request(nth, caller))).await.ok();
            (nth, Told { began, ended: Instant::now(), got })
        });
    }
    let mut told: Vec<_> = calls.join_all().await;
    told.sort_by_key(|(nth, _)| *nth);
    let told: Vec<_> = told.into_iter().map(|(_, told)| told).collect();

    assert_eq!((report.live(), report.reserved()), (0, 0), "nothing is under way, and no place is held");
    report.assert_clean();
    let log = log.lock().clone();
    for (nth, call) in told.iter().enumerate() {
        let sent: Vec<_> = log.iter().filter(|sent| sent.caller == nth).copied().collect();
        // tokio's timers count whole milliseconds.
        let longest = Duration::from_millis(plan.deadline + 2);
        assert!(call.ended - call.began <= longest, "call {nth} took {:?}", call.ended - call.began);
        check::attempts(&plan, &sent);
        check::answer(call, &sent);
        if let (true, Some(got)) = (plan.roomy, &call.got) {
            let who = got
                .who
                .parse()
                .ok()
                .filter(|_| [200, 400].contains(&got.status) && got.failure.is_none_or(|_| got.status == 400));
            assert_eq!(who, plan.first_that_can(), "call {nth}: {}", got.trail);
        }
    }
    check::budgets(&plan, &log, &told, [&heard.stops.lock(), &heard.waits.lock()], start);
    settled::as_new(&plan, &guards).await;
}

fn guards(plan: &Plan, seed: u64, heard: &Arc<Heard>) -> Guards {
    let n = |n: u32| NonZeroU32::new(n).unwrap();
    let limits = Limits::none()
        .requests_per_minute(n(plan.per_minute))
        .concurrency(n(plan.at_once))
        .tokens_per_minute(n(1_000_000).into());
    let breaker = CircuitBreakerLayer::new().consecutive_failures(plan.opens_after).unwrap();
    Guards {
        breaker: breaker.jitter(towline::Jitter::seeded(seed)),
        limiter: RateLimitLayer::new(limits).observer(Arc::clone(heard)),
    }
}

fn fallback(plan: &Plan, seed: u64) -> FallbackLayer {
    let target = |(nth, place): (usize, &crate::plan::Place)| {
        let target = Target::new(nth.to_string(), format!("http://t{nth}")).unwrap();
        let target = match place.head {
            Some(head) => target
                .with_timeout(Phase::Head, Duration::from_millis(head))
                .unwrap()
                .with_timeout(Phase::FirstContent, Duration::from_millis(head))
                .unwrap(),
            None => target,
        };
        place.attempts.and_then(NonZeroU32::new).map_or(target.clone(), |most| target.with_attempts(most))
    };
    let layer = FallbackLayer::new(plan.places.iter().enumerate().map(target)).unwrap();
    layer.max_targets(plan.max_targets).unwrap().max_attempts(plan.max_attempts).unwrap().seed(seed)
}

fn request(nth: usize, caller: Caller) -> Request<Full<Bytes>> {
    let body = format!("{{\"model\":\"m\",\"stream\":{},\"max_tokens\":10}}", caller.streams);
    Request::post("/v1/messages").header(CALLER, nth).body(Full::from(body)).unwrap()
}

/// What a limiter keeps books on here.
pub const DIMENSIONS: [Dimension; 3] = [Dimension::Requests, Dimension::Tokens, Dimension::Concurrency];
