//! Streams: what is held, for how long, what an error makes of them, and what their handle tells.

#![allow(clippy::expect_used, reason = "tests")]

mod support;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use parking_lot::Mutex;
use support::{Script, Seen, Step, classify, data, read_all, response, told};
use tokio::time::Instant;
use towline_classify::{ClassifiedBody, ClassifyLayer};
use towline_core::{Event, FailureKind, Observe, Outcome, StreamEnd, StreamHandle, Target};

const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const PING: &str = ": OPENROUTER PROCESSING\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"Model is overloaded\",\"type\":\"overloaded_error\",\"code\":529}}\n\n";

fn stream(body: Script) -> Response<Script> {
    response(200, &[("content-type", "text/event-stream; charset=utf-8")], body)
}

async fn hold(steps: &[Step]) -> Response<ClassifiedBody<Script>> {
    classify(&ClassifyLayer::new(), stream(Script::new(steps.to_vec()))).await
}

fn handle(answer: &Response<ClassifiedBody<Script>>) -> StreamHandle {
    StreamHandle::of(answer.extensions()).expect("a stream has a handle").clone()
}

/// Reads the next frame, which must be there.
fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Bytes> {
    match pin!(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

#[tokio::test]
async fn a_stream_is_held_until_its_first_content() {
    let steps = [data(PING), Step::Pending, data(ROLE), Step::Pending, data(TEXT), Step::Stall];
    let answer = hold(&steps).await;
    let handle = handle(&answer);
    assert!(told(&answer).is_none());
    assert_eq!((handle.content_events(), handle.end()), (1, None));
    let mut body = answer.into_body();
    for expected in [PING, ROLE, TEXT] {
        assert_eq!(next(&mut body).as_deref(), Some(expected.as_bytes()));
    }
    assert_eq!(handle.content_events(), 1, "what was held is not counted twice");
    drop(body);
    assert_eq!(handle.outcome(), Some(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn once_committed_a_frame_leaves_in_the_poll_that_received_it() {
    let answer = hold(&[data(TEXT), Step::Pending, data(TEXT), data(ROLE), Step::Pending, data(FINISH)]).await;
    let handle = handle(&answer);
    let mut body = answer.into_body();
    assert_eq!(next(&mut body).as_deref(), Some(TEXT.as_bytes()));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(next(&mut body), None, "pending");
    assert_eq!(next(&mut body).as_deref(), Some(TEXT.as_bytes()));
    assert_eq!(handle.last_content(), Some(Instant::now()), "told before the frame is handed on");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(next(&mut body).as_deref(), Some(ROLE.as_bytes()));
    assert_eq!(handle.last_content(), Some(Instant::now() - Duration::from_secs(3)), "an opening is no content");
    assert_eq!(next(&mut body), None, "pending");
    assert_eq!(next(&mut body).as_deref(), Some(FINISH.as_bytes()));
}

#[tokio::test]
async fn an_error_before_content_is_a_failure_and_the_stream_is_handed_on_whole() {
    for steps in [vec![data(ERROR), data(DONE)], vec![data(PING), Step::Pending, data(ROLE), data(ERROR)]] {
        let answer = hold(&steps).await;
        assert_eq!((answer.status().as_u16(), told(&answer)), (200, Some(FailureKind::Overloaded)));
        assert!(matches!(handle(&answer).end(), Some(StreamEnd::Failed(failure)) if failure.kind == FailureKind::Overloaded));
        assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
    }
}

#[tokio::test]
async fn an_error_that_comes_with_the_first_content_is_before_it() {
    let answer = hold(&[data(format!("{TEXT}{ERROR}"))]).await;
    assert_eq!(told(&answer), Some(FailureKind::Overloaded), "none of it has been handed on");
}

#[tokio::test]
async fn an_error_after_content_is_told_by_the_handle() {
    let steps = [data(TEXT), data(ERROR), data(DONE)];
    let answer = hold(&steps).await;
    let handle = handle(&answer);
    assert_eq!((told(&answer), handle.end()), (None, None));
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
    assert_eq!(handle.outcome().and_then(Outcome::into_failure).map(|f| f.kind), Some(FailureKind::Overloaded));
}

#[tokio::test]
async fn a_whole_stream_is_told_complete_by_the_event_that_ends_it() {
    let steps = [data(ROLE), data(TEXT), data(FINISH), data(DONE)];
    let answer = hold(&steps).await;
    let handle = handle(&answer);
    let mut body = answer.into_body();
    for _ in 0..4 {
        assert!(next(&mut body).is_some());
    }
    assert_eq!(handle.end(), Some(StreamEnd::Complete), "the end of the body need not be read");
}

#[tokio::test]
async fn a_stream_without_done_is_complete_if_the_model_said_that_it_is() {
    let steps = [data(TEXT), data(FINISH)];
    for drop_early in [false, true] {
        let answer = hold(&steps).await;
        let handle = handle(&answer);
        let mut body = answer.into_body();
        if drop_early {
            while next(&mut body).is_some() {}
            drop(body);
        } else {
            assert_eq!(read_all(body), Seen::of(&steps));
        }
        assert_eq!(handle.end(), Some(StreamEnd::Complete));
    }
}

#[tokio::test]
async fn a_cut_stream_never_looks_whole() {
    let steps = [data(ROLE), data(TEXT), Step::Pending, data(TEXT)];
    for sized in [false, true] {
        let script = if sized { Script::new(steps.clone()).sized() } else { Script::new(steps.clone()) };
        let answer = classify(&ClassifyLayer::new(), stream(script)).await;
        let handle = handle(&answer);
        let seen = read_all(answer.into_body());
        assert_eq!(seen, Seen { error: Some(FailureKind::StreamBroken), ..Seen::of(&steps) });
        assert_eq!(handle.end(), Some(StreamEnd::Cut));
        assert_eq!(handle.outcome().and_then(Outcome::into_failure).map(|f| f.kind), Some(FailureKind::StreamBroken));
    }
}

#[tokio::test]
async fn a_cut_stream_is_handed_on_as_it_is_if_that_is_asked_for() {
    let layer = ClassifyLayer::new().fail_cut_streams(false);
    for sized in [false, true] {
        let script = Script::new([data(TEXT), data(TEXT)]);
        let answer = classify(&layer, stream(if sized { script.sized() } else { script })).await;
        let handle = handle(&answer);
        assert_eq!(read_all(answer.into_body()).error, None);
        assert_eq!(handle.end(), Some(StreamEnd::Cut));
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_content_is_a_failure() {
    for steps in [vec![], vec![data(PING)], vec![data(ROLE), Step::Trailers]] {
        for sized in [false, true] {
            let script = if sized { Script::new(steps.clone()).sized() } else { Script::new(steps.clone()) };
            let alive = script.alive();
            let answer = classify(&ClassifyLayer::new(), stream(script)).await;
            assert_eq!((told(&answer), alive()), (Some(FailureKind::StreamBroken), 0));
            assert_eq!(handle(&answer).end(), Some(StreamEnd::Cut));
            assert_eq!(read_all(answer.into_body()), Seen { error: Some(FailureKind::StreamBroken), ..Seen::of(&steps) });
        }
    }
}

#[tokio::test]
async fn a_connection_lost_before_content_is_a_failure_and_after_it_an_error_of_the_body() {
    let answer = hold(&[data(ROLE), Step::Break]).await;
    assert_eq!(told(&answer), Some(FailureKind::StreamBroken));
    assert_eq!(read_all(answer.into_body()), Seen::of(&[data(ROLE), Step::Break]));
    let answer = hold(&[data(TEXT), Step::Break]).await;
    let handle = handle(&answer);
    assert_eq!(told(&answer), None);
    assert_eq!(read_all(answer.into_body()).error, Some(FailureKind::StreamBroken));
    assert!(matches!(handle.end(), Some(StreamEnd::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn no_stream_is_held_beyond_its_limits() {
    let openings: Vec<_> = (0..64).map(|_| data(ROLE)).chain([Step::Stall]).collect();
    let long: Vec<_> = (0..4).map(|_| data(format!(": {}\n\n", "x".repeat(64 * 1024)))).chain([Step::Stall]).collect();
    for (steps, layer, seconds) in [
        (openings, ClassifyLayer::new(), 0),
        (long, ClassifyLayer::new(), 0),
        (vec![data(ROLE), Step::Stall], ClassifyLayer::new(), 120),
        (vec![data(ROLE), Step::Stall], ClassifyLayer::new().hold_up_to(64, 1024, Duration::from_secs(5)), 5),
        (vec![Step::Stall], ClassifyLayer::new().hold_up_to(0, 1024, Duration::from_secs(5)), 0),
    ] {
        let began = Instant::now();
        let answer = classify(&layer, stream(Script::new(steps.clone()))).await;
        assert_eq!(began.elapsed().as_secs(), seconds);
        let handle = handle(&answer);
        assert_eq!((told(&answer), handle.content_events(), handle.end()), (None, 0, None));
        let mut body = answer.into_body();
        for step in &steps {
            if let Step::Data(data) = step {
                assert_eq!(next(&mut body).as_ref(), Some(data));
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_passes() {
    for headers in [
        [("content-type", "text/event-stream"), ("content-encoding", "gzip")],
        [("content-type", "application/x-ndjson"), ("x-any", "y")],
    ] {
        let answer = classify(&ClassifyLayer::new(), response(200, &headers, Script::new([Step::Stall]))).await;
        assert!(answer.extensions().is_empty());
    }
}

#[tokio::test]
async fn events_split_at_any_byte_are_read_the_same() {
    let whole = [ROLE, TEXT, FINISH, DONE].concat();
    for at in 1..whole.len() {
        let steps = [data(&whole[..at]), Step::Pending, data(&whole[at..])];
        let answer = hold(&steps).await;
        let handle = handle(&answer);
        assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
        assert_eq!((handle.content_events(), handle.end()), (1, Some(StreamEnd::Complete)), "split at {at}");
    }
}

const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";

#[tokio::test]
async fn usage_is_told_where_it_is_asked_for() {
    for (layer, expected) in [(ClassifyLayer::new(), None), (ClassifyLayer::new().usage(true), Some((Some(9), Some(2))))] {
        let answer = classify(&layer, stream(Script::new([data(TEXT), data(FINISH), data(USAGE), data(DONE)]))).await;
        let handle = handle(&answer);
        assert_eq!(handle.usage(), None);
        read_all(answer.into_body());
        assert_eq!(handle.usage().map(|usage| (usage.input_tokens, usage.output_tokens)), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn usage_of_a_whole_answer_is_read_as_it_passes() {
    let text = r#"{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let layer = ClassifyLayer::new().usage(true);
    for cuts in [vec![text.len()], vec![1, 40, 60]] {
        for sized in [false, true] {
            let mut rest = text;
            let mut steps = Vec::new();
            for cut in &cuts {
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                (rest, steps) = (left, [steps, vec![data(piece), Step::Pending]].concat());
            }
            steps.push(data(rest));
            let script = Script::new(steps);
            let answer = classify(&layer, response(200, &[], if sized { script.sized() } else { script })).await;
            let handle = handle(&answer);
            assert_eq!(read_all(answer.into_body()).data, text.as_bytes());
            assert_eq!(handle.usage().and_then(|usage| usage.output_tokens), Some(2));
            assert_eq!(handle.end(), Some(StreamEnd::Complete));
        }
    }
    let stalled = classify(&layer, response(200, &[], Script::new([data("{"), Step::Stall]))).await;
    let handle = handle(&stalled);
    drop(stalled);
    assert_eq!((handle.end(), handle.usage()), (Some(StreamEnd::Dropped), None));
}

#[tokio::test]
async fn an_empty_stream_is_refused_only_where_that_is_asked_for() {
    for (layer, expected) in
        [(ClassifyLayer::new(), None), (ClassifyLayer::new().reject_empty(true), Some(FailureKind::Malformed))]
    {
        let answer = classify(&layer, stream(Script::new([data(ROLE), data(FINISH), data(DONE)]))).await;
        assert_eq!(told(&answer), expected);
        assert_eq!(read_all(answer.into_body()).error, None, "it came to its end");
    }
}

#[tokio::test]
async fn a_stream_of_no_known_dialect_is_held_and_handed_on_but_not_judged() {
    let steps = [
        data("data: {\"type\":\"speech.audio.delta\",\"audio\":\"UklGR\"}\n\n"),
        data("data: {\"type\":\"speech.audio.done\"}\n\n"),
    ];
    let answer = hold(&steps).await;
    assert_eq!((told(&answer), handle(&answer).end()), (None, Some(StreamEnd::Complete)));
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
}

#[tokio::test]
async fn events_that_are_no_json_say_nothing() {
    let steps = [data("data: {\"choices\":[{\"del\n\n"), data(TEXT), data("data: }{\n\n"), data(TEXT), data(FINISH)];
    let answer = classify(&ClassifyLayer::new().drop_broken_events(false), stream(Script::new(steps.clone()))).await;
    let handle = handle(&answer);
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
    assert_eq!((handle.content_events(), handle.end()), (2, Some(StreamEnd::Complete)));
}

/// Writes down how streams ended.
#[derive(Default)]
struct Ends(Mutex<Vec<(Option<String>, StreamEnd)>>);

impl Observe for Ends {
    fn observe(&self, event: &Event<'_>) {
        if let Event::StreamEnded { target, end } = event {
            self.0.lock().push((target.map(|target| target.name().to_owned()), (*end).clone()));
        }
    }
}

#[tokio::test]
async fn an_observer_is_told_once_how_each_stream_ended() {
    let ends = Arc::new(Ends::default());
    let layer = ClassifyLayer::new().observer(Arc::clone(&ends));
    for steps in [
        vec![data(TEXT), data(FINISH), data(DONE)],
        vec![data(TEXT)],
        vec![data(TEXT), data(ERROR), data(DONE)],
        vec![data(ROLE)],
    ] {
        read_all(classify(&layer, stream(Script::new(steps))).await.into_body());
    }
    let mut asked = support::request();
    asked.extensions_mut().insert(Target::new("t", "http://provider.test").unwrap());
    drop(support::classify_for(&layer, asked, stream(Script::new([data(TEXT)]))).await);
    let told = ends.0.lock();
    let (targets, ends): (Vec<_>, Vec<_>) = told.iter().map(|(target, end)| (target.as_deref(), end)).unzip();
    assert_eq!(targets, [None, None, None, None, Some("t")]);
    assert!(matches!(ends[..], [StreamEnd::Complete, StreamEnd::Cut, StreamEnd::Failed(_), StreamEnd::Cut, StreamEnd::Dropped]));
}
