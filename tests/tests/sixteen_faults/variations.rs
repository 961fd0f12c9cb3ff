//! What becomes of some faults where more was configured, or nothing at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use towline::{CallLayer, FailureKind, FallbackLayer, Preset, StreamEnd, TimeoutLayer};
use towline_testkit::{Dialect, Fault};

use crate::{
    bench::{Bench, Plain, STEP, targets},
    expected::expected,
};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::Anthropic];

#[tokio::test(start_paused = true)]
async fn with_nothing_configured_but_two_targets_twelve_are_met_all_the_same() {
    // The rest is a matter of time limits, whose defaults suit models that think, and of a minute's patience.
    let timed = [Fault::Silent, Fault::LateFirstToken, Fault::StreamStall, Fault::Outage];
    for fault in Fault::ALL.into_iter().filter(|fault| !timed.contains(fault)) {
        for (dialect, stream) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, true), (dialect, false)]) {
            let plain = |stack: Plain| stack.call(CallLayer::new()).attempt_timeout(TimeoutLayer::attempt());
            let bench = Bench::start(fault, dialect, stream, plain).await;
            let (got, expected) = (bench.ask().await, expected(fault, stream));
            expected.check_caller(&got, &bench.direct(expected.model).await);
            bench.check_providers(&expected.asked, expected.gaps);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_that_the_defaults_allow_is_waited_out_and_the_answer_is_whole() {
    for dialect in DIALECTS {
        let bench = Bench::start(Fault::StreamStall, dialect, true, |stack| {
            stack.call(CallLayer::new()).attempt_timeout(TimeoutLayer::attempt())
        });
        let bench = bench.await;
        let got = bench.ask().await;
        assert_eq!((got.error, &got.end, got.took.as_secs()), (None, &Some(StreamEnd::Complete), 30));
        assert_eq!(got.body, bench.direct(Fault::PRIMARY).await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_chat_preset_alone_leaves_a_silent_target_and_a_late_first_token_in_time() {
    for (fault, stream) in [(Fault::Silent, true), (Fault::Silent, false), (Fault::LateFirstToken, true)] {
        for dialect in DIALECTS {
            let bench = Bench::start(fault, dialect, stream, |stack| stack.preset(Preset::chat())).await;
            let got = bench.ask().await;
            assert_eq!((&*got.who, got.status, got.error, bench.primary.hits()), ("second", 200, None, 1), "{fault:?}");
            // A whole answer takes its time, and nobody can tell that from silence.
            let limit = Duration::from_secs(if stream { 10 } else { 30 });
            assert!((limit..limit + 10 * STEP).contains(&got.took), "{fault:?}: {:?}", got.took);
            assert_eq!(got.body, bench.direct(Fault::FALLBACK).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_to_the_larger_window_and_only_there() {
    for dialect in DIALECTS {
        let bench = Bench::with_fallback(Fault::ContextLength, dialect, |primary, second| {
            FallbackLayer::new([targets(primary, second).0])
                .unwrap()
                .context_window_targets([targets(primary, second).1])
                .unwrap()
        });
        let bench = bench.await;
        let got = bench.ask().await;
        assert_eq!((&*got.who, &*got.trail), ("second", "primary context_length, second ok"));
        assert_eq!(got.body, bench.direct(Fault::FALLBACK).await);
        bench.check_providers(&[1, 1], [0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_goes_elsewhere_only_where_that_was_said_and_a_reviewer_hears_of_it() {
    for dialect in DIALECTS {
        for named in [false, true] {
            let heard = Arc::new(AtomicUsize::new(0));
            let reviewer = Arc::clone(&heard);
            let bench = Bench::with_fallback(Fault::ContentPolicy, dialect, |primary, second| {
                let (first, second) = targets(primary, second);
                let layer = if named {
                    FallbackLayer::new([first]).unwrap().content_policy_targets([second]).unwrap()
                } else {
                    FallbackLayer::new([first, second]).unwrap()
                };
                layer.on_refusal(move |target, failure, _| {
                    assert_eq!((target.name(), failure.kind), ("primary", FailureKind::ContentPolicy));
                    reviewer.fetch_add(1, Ordering::Relaxed);
                })
            });
            let bench = bench.await;
            let got = bench.ask().await;
            assert_eq!((got.status, heard.load(Ordering::Relaxed)), (if named { 200 } else { 400 }, 1));
            bench.check_providers(&[1, usize::from(named)], [0, 0]);
        }
    }
}
