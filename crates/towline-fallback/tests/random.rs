//! Whatever the targets do and whenever the caller leaves.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt};
use towline_core::{BoxError, Call, Error, Facts, Failure, FailureKind, Target};
use towline_fallback::FallbackLayer;

mod support;

use support::{targets, with_call};

/// What a target does each time it is asked.
#[derive(Clone, Debug)]
struct Script {
    after: u64,
    does: Does,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Status(u16),
    KeepBack(u64),
    Silence,
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    let does = prop_oneof![
        3 => prop::sample::select(vec![200, 400, 429, 500, 503]).prop_map(Does::Status),
        2 => (1..9_u64).prop_map(Does::KeepBack),
        1 => Just(Does::Silence),
    ];
    prop::collection::vec((0..8_u64, does).prop_map(|(after, does)| Script { after, does }), 1..7)
}

struct Ran {
    answer: Option<Result<Response<()>, Error>>,
    asked: Vec<(usize, Instant)>,
    /// Who came to the end of an answer that nobody replaces.
    given: Vec<usize>,
    /// How many hops were under way at once, at most, and at the end.
    alive: (usize, usize),
    took: Duration,
}

struct Alive(Arc<Mutex<(usize, usize)>>);

impl Alive {
    fn new(count: &Arc<Mutex<(usize, usize)>>) -> Self {
        let mut counts = count.lock();
        counts.1 += 1;
        counts.0 = counts.0.max(counts.1);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().1 -= 1;
    }
}

async fn run(layer: &FallbackLayer, scripts: &[Script], call: &Call, leaves: Option<Duration>) -> Ran {
    let (asked, alive) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new((0, 0))));
    let given = Arc::new(Mutex::new(Vec::new()));
    let ends = Arc::clone(&given);
    let (log, count, scripts) = (Arc::clone(&asked), Arc::clone(&alive), scripts.to_vec());
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let at: usize = Target::of(request.extensions()).unwrap().name().parse().unwrap();
        log.lock().push((at, Instant::now()));
        let (script, alive, given) = (scripts[at].clone(), Alive::new(&count), Arc::clone(&ends));
        async move {
            let _alive = alive;
            match script.does {
                Does::KeepBack(secs) => {
                    Err(BoxError::from(Error::new(Failure::new(FailureKind::CircuitOpen).retry_after(Duration::from_secs(secs)))))
                }
                Does::Silence => std::future::pending().await,
                Does::Status(status) => {
                    sleep(Duration::from_secs(script.after)).await;
                    given.lock().extend([at].into_iter().filter(|_| matches!(status, 200 | 400)));
                    Ok(Response::builder().status(status).body(())?)
                }
            }
        }
    });
    let began = Instant::now();
    let answer = timeout(leaves.unwrap_or(Duration::from_secs(1000)), layer.layer(inner).oneshot(with_call(call))).await.ok();
    let asked = asked.lock().clone();
    let (alive, given) = (*alive.lock(), given.lock().clone());
    Ran { answer, asked, given, alive, took: began.elapsed() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends_in_time_with_the_first_answer_that_is_to_be_had(
        scripts in scripts(), deadline in 5..60_u64, max in 1..6_usize, leaves in prop::option::weighted(0.3, 0..20_000_u64)
    ) {
        let names: Vec<_> = (0..scripts.len()).map(|nth| nth.to_string()).collect();
        let hosts: Vec<_> = names.iter().map(String::as_str).collect();
        let layer = FallbackLayer::new(targets(&hosts)).unwrap().max_targets(max).unwrap().max_attempts(6).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (ran, end) = runtime.block_on(async {
            let now = Instant::now();
            let end = now + Duration::from_secs(deadline);
            let call = Call::new(Facts::default(), now, Some(end));
            // As `TimeoutLayer::call` stands above.
            let until = leaves.map_or(Duration::from_secs(deadline), Duration::from_millis).min(Duration::from_secs(deadline));
            (run(&layer, &scripts, &call, Some(until)).await, end)
        });
        prop_assert!(ran.took <= Duration::from_secs(deadline));
        prop_assert!(ran.asked.iter().all(|(_, at)| *at < end), "no attempt after the deadline");
        prop_assert_eq!(ran.alive.1, 0, "nothing is left under way");
        prop_assert!(ran.alive.0 <= 1, "one hop at a time");
        let really: Vec<_> = ran.asked.iter().filter(|(at, _)| !matches!(scripts[*at].does, Does::KeepBack(_))).map(|(at, _)| *at).collect();
        prop_assert!(really.len() <= max);
        let mut once = really.clone();
        once.dedup();
        prop_assert_eq!(&once, &really, "no target twice");
        prop_assert!(really.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        // Nothing is asked after an answer, and it is the caller's unless that one has left.
        prop_assert!(ran.given.len() <= 1 && ran.given.first().is_none_or(|at| really.last() == Some(at)));
        if let (Some(at), Some(answer)) = (ran.given.first(), &ran.answer) {
            let answered = answer.as_ref().ok().and_then(|response| Target::of(response.extensions()));
            prop_assert_eq!(answered.map(|target| target.name().to_owned()), Some(at.to_string()));
        }
        if leaves.is_none() {
            // The first that can answer does, unless time ran out, a wrong request came before it, or too many did.
            let able = |script: &Script| matches!(script.does, Does::Status(200)) && script.after == 0;
            let before = |at: &usize| &scripts[..*at];
            let first = (0..scripts.len()).find(|at| able(&scripts[*at]));
            if let Some(at) = first.filter(|at| before(at).iter().all(|s| matches!(s.does, Does::KeepBack(_) | Does::Status(429 | 500 | 503))))
                .filter(|at| before(at).iter().filter(|s| matches!(s.does, Does::Status(_))).count() < max.min(6))
                .filter(|at| before(at).iter().map(|s| s.after).sum::<u64>() < deadline)
            {
                let response = ran.answer.unwrap().unwrap();
                prop_assert_eq!(response.status().as_u16(), 200);
                prop_assert_eq!(Target::of(response.extensions()).unwrap().name(), at.to_string());
            }
        }
    }

    #[test]
    fn a_conversation_and_a_cap_decide_who_is_asked_as_a_list_would(
        scripts in scripts(), first in 0..7_usize, cap in prop::option::of(0..3_u32), max in 1..6_usize
    ) {
        // No time passes, in which a token would come of itself.
        let at_once = |script: Script| Script { after: 0, ..script };
        let scripts: Vec<_> = scripts.into_iter().filter(|script| !matches!(script.does, Does::Silence)).map(at_once).collect();
        prop_assume!(first < scripts.len());
        let names: Vec<_> = (0..scripts.len()).map(|nth| nth.to_string()).collect();
        let hosts: Vec<_> = names.iter().map(String::as_str).collect();
        let mut layer = FallbackLayer::new(targets(&hosts)).unwrap().max_targets(max).unwrap().max_attempts(100).unwrap();
        layer = layer.wait_for_recovery(Duration::ZERO).sticky(|_| Some("the only one".into()), Duration::from_secs(999));
        if let Some(cap) = cap {
            layer = layer.spill_over(0.001, cap + 1).unwrap();
        }
        let alone = |at: usize| Script { after: 0, does: if at == first { Does::Status(200) } else { Does::KeepBack(9) } };
        let before: Vec<_> = (0..scripts.len()).map(alone).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ran = runtime.block_on(async {
            let call = || Call::new(Facts::default(), Instant::now(), None);
            run(&layer, &before, &call(), None).await;
            run(&layer, &scripts, &call(), None).await
        });
        let asked: Vec<_> = ran.asked.iter().map(|(at, _)| *at).collect();
        prop_assert_eq!(asked, list(&scripts, first, cap.map(|cap| cap + 1), max));
    }
}

/// Who is asked, in order: `first`, then the others, as long as they fail, are not too many, and are not capped.
fn list(scripts: &[Script], first: usize, mut tokens: Option<u32>, max: usize) -> Vec<usize> {
    let (mut asked, mut really) = (Vec::new(), 0);
    for at in [first].into_iter().chain((0..scripts.len()).filter(|at| *at != first)) {
        asked.push(at);
        really += usize::from(matches!(scripts[at].does, Does::Status(_)));
        let last = asked.len() == scripts.len();
        match scripts[at].does {
            Does::Status(200 | 400) => break,
            _ if really >= max || last => break,
            Does::Status(429) if tokens == Some(0) => break,
            Does::Status(429) => tokens = tokens.map(|tokens| tokens - 1),
            _ => {}
        }
    }
    asked
}
