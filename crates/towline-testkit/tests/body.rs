//! The scripted body, poll by poll.

use std::time::Duration;

use http::HeaderMap;
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use towline_testkit::{Gate, ScriptedBody, counted};

#[tokio::test]
async fn pending_wakes_and_hanging_does_not() {
    let mut body = ScriptedBody::new().pending().data("a").hang();
    let report = body.report();
    let mut next = task::spawn(body.frame());
    assert_pending!(next.poll());
    assert!(next.is_woken());
    assert!(assert_ready!(next.poll()).unwrap().unwrap().is_data());
    drop(next);
    let mut next = task::spawn(body.frame());
    for _ in 0..3 {
        assert_pending!(next.poll());
        assert!(!next.is_woken());
    }
    assert_eq!(report.polls(), 5);
    assert!(!report.is_ended());
}

#[tokio::test]
async fn the_end_is_known_when_it_is_polled_unless_told_earlier() {
    let mut body = ScriptedBody::new().data("a");
    body.frame().await.unwrap().unwrap();
    assert!(!body.is_end_stream() && !body.report().is_ended());
    assert!(body.frame().await.is_none());
    assert!(body.report().is_ended());
    let mut body = ScriptedBody::new().data("a").with_known_end();
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert!(ScriptedBody::new().with_known_end().is_end_stream());
}

#[tokio::test]
async fn the_size_hint_shrinks_with_the_data() {
    let mut body = ScriptedBody::new().data("abc").data("de").with_length(5);
    assert_eq!(body.size_hint().exact(), Some(5));
    body.frame().await;
    assert_eq!(body.size_hint().exact(), Some(2));
    let mut hint = SizeHint::new();
    hint.set_lower(4);
    let mut body = ScriptedBody::new().data("abc").data("de").with_size_hint(hint);
    body.frame().await;
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (1, None));
    body.frame().await;
    assert_eq!(body.size_hint().lower(), 0);
    assert_eq!(ScriptedBody::new().data("a").size_hint().upper(), None);
}

#[tokio::test]
async fn trailers_come_after_the_data() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let collected = ScriptedBody::new().data("a").trailers(trailers.clone()).collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_wait_begins_when_it_is_come_to() {
    let mut body = ScriptedBody::new().data("a").wait(Duration::from_secs(5)).data("b");
    body.frame().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let begin = Instant::now();
    let (frame, polls) = counted(body.frame());
    frame.await;
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
    assert_eq!(polls.get(), 2);
}

#[tokio::test]
async fn a_gate_holds_until_it_is_opened() {
    let gate = Gate::new();
    let mut body = ScriptedBody::new().gate(&gate).data("a");
    let mut next = task::spawn(body.frame());
    assert_pending!(next.poll());
    assert_pending!(next.poll());
    assert_eq!(gate.arrivals(), 1);
    assert!(!next.is_woken());
    gate.open();
    assert!(next.is_woken());
    assert!(assert_ready!(next.poll()).is_some());
}

#[tokio::test]
async fn a_drop_is_told() {
    let body = ScriptedBody::new().hang();
    let report = body.report();
    assert!(!report.is_dropped());
    drop(tokio::spawn(async move { drop(body) }));
    report.dropped().await;
    assert!(report.is_dropped() && !report.is_ended());
}
