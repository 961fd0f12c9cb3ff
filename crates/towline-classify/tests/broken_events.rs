//! Events that are no JSON, within a stream that speaks it: the rest arrives, and nothing broken is handed on.

#![allow(clippy::expect_used, reason = "tests")]

mod support;

use http::Response;
use proptest::{collection::vec, prelude::*};
use support::{Script, Seen, Step, classify, classify_for, data, read_all, request, response, told};
use towline_classify::{ClassifiedBody, ClassifyLayer};
use towline_core::{Dialect, FailureKind, StreamEnd, StreamHandle, Target};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
const JUNK: &str = "data: {\"broken\": [1, 2,\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn stream(body: Script) -> Response<Script> {
    response(200, &[("content-type", "text/event-stream")], body)
}

async fn pass(layer: &ClassifyLayer, steps: &[Step]) -> Response<ClassifiedBody<Script>> {
    classify(layer, stream(Script::new(steps.to_vec()))).await
}

/// What is read, and how many events were left out.
async fn read(layer: &ClassifyLayer, steps: &[Step]) -> (Seen, u64) {
    let answer = pass(layer, steps).await;
    let handle = StreamHandle::of(answer.extensions()).expect("a stream has a handle").clone();
    (read_all(answer.into_body()), handle.broken_events())
}

fn seen(text: &str) -> Seen {
    Seen { data: text.as_bytes().to_vec(), ..Seen::default() }
}

#[tokio::test]
async fn an_event_that_is_no_json_is_left_out_and_the_rest_arrives() {
    let layer = ClassifyLayer::new();
    let whole = [ROLE, TEXT, TEXT, FINISH, DONE].concat();
    for events in
        [[ROLE, TEXT, JUNK, TEXT, FINISH, DONE], [ROLE, TEXT, TEXT, JUNK, FINISH, DONE], [ROLE, TEXT, TEXT, FINISH, DONE, JUNK]]
    {
        assert_eq!(read(&layer, &events.map(data)).await, (seen(&whole), 1));
        assert_eq!(read(&layer, &[data(events.concat())]).await, (seen(&whole), 1), "all in one frame");
    }
}

#[tokio::test]
async fn it_is_left_out_wherever_the_frames_split_it() {
    let broken = [ROLE, TEXT, JUNK, "data: }{\n\n", TEXT, FINISH, DONE].concat();
    let whole = [ROLE, TEXT, TEXT, FINISH, DONE].concat();
    for at in 1..broken.len() {
        let steps = [data(&broken[..at]), Step::Pending, data(&broken[at..])];
        assert_eq!(read(&ClassifyLayer::new(), &steps).await, (seen(&whole), 2), "split at {at}");
    }
    let bytes: Vec<_> = broken.chars().map(|byte| data(byte.to_string())).collect();
    assert_eq!(read(&ClassifyLayer::new(), &bytes).await, (seen(&whole), 2));
}

#[tokio::test]
async fn before_any_content_only_the_targets_dialect_tells_that_json_is_spoken() {
    let steps = [data(JUNK), data(TEXT), data(FINISH)];
    assert_eq!(read(&ClassifyLayer::new(), &steps).await, (seen(&[JUNK, TEXT, FINISH].concat()), 0));
    let mut asked = request();
    let target = Target::new("t", "http://provider.test").expect("a valid target").with_dialect(Dialect::OpenAiChat);
    asked.extensions_mut().insert(target);
    let answer = classify_for(&ClassifyLayer::new(), asked, stream(Script::new(steps))).await;
    assert_eq!(read_all(answer.into_body()), seen(&[TEXT, FINISH].concat()));
}

#[tokio::test]
async fn a_stream_that_speaks_something_else_is_left_as_it_is() {
    let steps = [data("event: endpoint\ndata: /messages?session=1\n\n"), data("event: note\ndata: hello {\n\n")];
    assert_eq!(read(&ClassifyLayer::new(), &steps).await, (Seen::of(&steps), 0));
}

#[tokio::test]
async fn nothing_is_left_out_where_that_was_not_asked_for_or_the_length_was_told() {
    let steps = [data(TEXT), data(JUNK), data(FINISH)];
    assert_eq!(read(&ClassifyLayer::new().drop_broken_events(false), &steps).await, (Seen::of(&steps), 0));
    let answer = classify(&ClassifyLayer::new(), stream(Script::new(steps.clone()).sized())).await;
    assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
}

#[tokio::test]
async fn a_comment_does_not_wait_and_half_an_event_does() {
    let body = pass(&ClassifyLayer::new(), &[data(TEXT), data(": ping\n\n"), data(&TEXT[..20]), Step::Stall]).await.into_body();
    assert_eq!(read_all(body).data, [TEXT, ": ping\n\n"].concat().as_bytes());
}

#[tokio::test]
async fn half_an_event_at_the_end_is_handed_on_before_the_error_or_the_trailers() {
    for end in [Step::Break, Step::Trailers] {
        let steps = [data(TEXT), data(FINISH), data(&TEXT[..20]), end];
        assert_eq!(read(&ClassifyLayer::new(), &steps).await.0, Seen::of(&steps));
    }
    let steps = [data(TEXT), data(&TEXT[..20])];
    let (cut, _) = read(&ClassifyLayer::new(), &steps).await;
    assert_eq!(cut, Seen { error: Some(FailureKind::StreamBroken), ..Seen::of(&steps) });
    let steps = [data(TEXT), data("data: [DONE]")];
    let answer = pass(&ClassifyLayer::new(), &steps).await;
    let handle = StreamHandle::of(answer.extensions()).expect("a stream has a handle").clone();
    assert_eq!((read_all(answer.into_body()), handle.end()), (Seen::of(&steps), Some(StreamEnd::Complete)));
}

#[tokio::test]
async fn an_opening_that_is_cut_within_an_event_is_no_answer() {
    let steps = [data(&ROLE[..60])];
    let answer = pass(&ClassifyLayer::new(), &steps).await;
    assert_eq!(told(&answer), Some(FailureKind::StreamBroken));
    assert_eq!(read_all(answer.into_body()).data, Seen::of(&steps).data);
}

#[tokio::test]
async fn an_event_of_more_than_16_kib_flows_as_it_comes() {
    let long = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(40_000));
    let steps = [data(TEXT), data(&long[..20_000]), Step::Stall];
    let body = pass(&ClassifyLayer::new(), &steps).await.into_body();
    assert_eq!(read_all(body), Seen::of(&steps));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the naive model: all events but the broken ones, in order.
    #[test]
    fn whatever_is_broken_and_however_it_is_split(
        events in vec(prop::sample::select(vec![TEXT, JUNK, ": ping\n\n", "event: x\ndata: {}\n\n", "data: }\r\n\r\n", "\n", "data: {\ndata: }\n\n"]), 0..12),
        cuts in vec(0..400_usize, 0..8),
    ) {
        let broken = |event: &&str| [JUNK, "data: }\r\n\r\n"].contains(event);
        let whole: String = [TEXT].iter().chain(&events).chain(&[FINISH, DONE]).copied().collect();
        let expected: String = [TEXT].iter().chain(events.iter().filter(|event| !broken(event))).chain(&[FINISH, DONE]).copied().collect();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).chain([0, whole.len()]).collect();
        cuts.sort_unstable();
        let steps: Vec<_> = cuts.windows(2).map(|two| data(&whole[two[0]..two[1]])).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let (seen, count) = runtime.block_on(read(&ClassifyLayer::new(), &steps));
        // A comment or a blank line right before what is broken goes with it, and half a line's end may be left of it.
        let plain = |text: &str| text.replace(": ping", "").replace(['\r', '\n'], "");
        prop_assert_eq!(plain(&String::from_utf8_lossy(&seen.data)), plain(&expected));
        prop_assert_eq!((seen.error, count), (None, events.iter().filter(|event| broken(event)).count() as u64));
    }
}
