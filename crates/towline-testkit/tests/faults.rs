//! Each of the sixteen faults, as a bare client meets it, in every dialect, streamed and whole.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod support;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use support::{client, io_kind, post};
use tokio::time::Instant;
use towline_core::FailureKind as K;
use towline_testkit::{Dialect, Fault, MockProvider};
use towline_wire::{error, stream::StreamReader};

const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];

/// What came of one request.
struct Met {
    failure: Option<K>,
    body: Bytes,
    /// When the head came, and the end.
    head: Duration,
    end: Duration,
    retry_after: Option<Duration>,
}

impl Met {
    /// The numbers that were counted.
    fn counted(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        (1..=60)
            .filter(|n| text.contains(&format!("\"{n} ")) || text.contains(&format!(" {n} ")))
            .map(|n| format!("{n} "))
            .collect()
    }
}

async fn ask(provider: &MockProvider, dialect: Dialect, stream: bool, body: &str) -> Met {
    let path = match (dialect, stream) {
        (Dialect::Gemini, true) => "/v1beta/models/m:streamGenerateContent?alt=sse",
        (Dialect::Bedrock, true) => "/model/m/converse-stream",
        _ => "/",
    };
    let begin = Instant::now();
    let (mut came, mut met) = (BytesMut::new(), Met::default());
    let response = match client().request(post(provider.url(path), body.to_owned())).await {
        Ok(response) => response,
        Err(error) => return Met { failure: io_kind(&error).map(|_| K::Transport), ..met },
    };
    met.head = begin.elapsed();
    let (head, mut frames) = response.into_parts();
    let mut cut = false;
    while let Some(frame) = frames.frame().await {
        match frame {
            Ok(frame) => came.extend(frame.into_data().unwrap()),
            Err(_) => cut = true,
        }
        if cut {
            break;
        }
    }
    (met.end, met.body) = (begin.elapsed(), came.freeze());
    let answer = error::Answer { status: head.status, headers: &head.headers, body: &met.body, dialect: Some(dialect) };
    let failure = if head.status.is_success() && head.headers["content-type"] != "application/json" {
        let mut reader = StreamReader::new();
        reader.push(met.body.clone());
        while reader.next_step().is_some() {}
        reader.verdict()
    } else {
        answer.failure(towline_core::wall_clock())
    };
    met.retry_after = failure.as_ref().and_then(|failure| failure.hint.retry_after);
    met.failure = failure.map(|failure| failure.kind).or(cut.then_some(K::StreamBroken));
    met
}

impl Default for Met {
    fn default() -> Self {
        Self { failure: None, body: Bytes::new(), head: Duration::ZERO, end: Duration::ZERO, retry_after: None }
    }
}

const USER: &str = r#"{"stream":STREAM,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"count"}]}"#;

async fn twice(fault: Fault, dialect: Dialect, stream: bool) -> (Met, Met, MockProvider) {
    let (primary, fallback) = fault.start(dialect).await.unwrap();
    let body = USER.replace("STREAM", &stream.to_string());
    (ask(&primary, dialect, stream, &body).await, ask(&primary, dialect, stream, &body).await, fallback)
}

/// What the first and the second request come to.
fn expected(fault: Fault, stream: bool) -> [Option<K>; 2] {
    match fault {
        Fault::LimitedOnce => [Some(K::RateLimited), None],
        Fault::Limited => [Some(K::RateLimited); 2],
        Fault::ErrorOnce => [Some(K::ServerError), None],
        Fault::Down | Fault::Outage | Fault::Substitute => [Some(K::Overloaded); 2],
        Fault::ResetOnce => [Some(K::Transport), None],
        Fault::Silent | Fault::LateFirstToken | Fault::NoTerminator | Fault::StreamStall => [None; 2],
        Fault::StreamCut | Fault::PrefillRefused if stream => [Some(K::StreamBroken); 2],
        // Half of a document is read as what it is.
        Fault::StreamCut | Fault::PrefillRefused => [Some(K::Malformed); 2],
        Fault::BrokenEvent => [if stream { None } else { Some(K::Malformed) }; 2],
        Fault::ContextLength => [Some(K::ContextLength); 2],
        Fault::ContentPolicy => [Some(K::ContentPolicy); 2],
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_what_the_table_says_in_every_dialect() {
    let whole = Fault::answer().whole_text();
    for (fault, dialect, stream) in cases() {
        let (first, second, _) = twice(fault, dialect, stream).await;
        let at = format!("{fault:?} {dialect:?} {stream}");
        assert_eq!([first.failure, second.failure], expected(fault, stream), "{at}");
        for met in [&first, &second] {
            if met.failure.is_none() {
                assert_eq!(met.counted(), whole, "{at}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_fallback_answers_whole_and_names_its_model() {
    for (fault, dialect, stream) in cases() {
        let (_, fallback) = fault.start(dialect).await.unwrap();
        let met = ask(&fallback, dialect, stream, &USER.replace("STREAM", &stream.to_string())).await;
        assert_eq!((met.failure, met.counted()), (None, Fault::answer().whole_text()), "{fault:?} {dialect:?} {stream}");
        let named = String::from_utf8_lossy(&met.body).contains(Fault::FALLBACK);
        assert_eq!(named, dialect != Dialect::Bedrock);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_cut_and_stall_where_the_table_says() {
    for dialect in DIALECTS {
        let (cut, ..) = twice(Fault::StreamCut, dialect, true).await;
        assert_eq!(cut.counted(), (1..=40).map(|n| format!("{n} ")).collect::<String>(), "{dialect:?}");
        for (fault, head, end) in [(Fault::Silent, 120, 120), (Fault::LateFirstToken, 0, 20), (Fault::StreamStall, 0, 30)] {
            for stream in [true, false] {
                let (met, ..) = twice(fault, dialect, stream).await;
                assert_eq!((met.head.as_secs(), met.end.as_secs()), (head, end), "{fault:?} {dialect:?} {stream}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_fault_says_when_to_come_back() {
    for dialect in DIALECTS {
        let wait = |fault| async move { twice(fault, dialect, true).await.0.retry_after };
        assert_eq!(wait(Fault::LimitedOnce).await, Some(Duration::from_secs(2)), "{dialect:?}");
        assert_eq!(wait(Fault::Limited).await, None, "{dialect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_a_minute_after_its_first_request() {
    let (primary, _) = Fault::Outage.start(Dialect::OpenAiChat).await.unwrap();
    let ask = || async { ask(&primary, Dialect::OpenAiChat, true, "{}").await.failure };
    tokio::time::sleep(Duration::from_secs(100)).await;
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(ask().await.is_none());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(seen, [false, false, false, false, false, false, true, true]);
}

#[tokio::test]
async fn the_fallback_continues_a_begun_answer_unless_it_refuses_to() {
    let begun = r#"{"messages":[{"role":"user","content":"count"},{"role":"assistant","content":"1 2 3 "}]}"#;
    let (_, fallback) = Fault::StreamCut.start(Dialect::Anthropic).await.unwrap();
    let met = ask(&fallback, Dialect::Anthropic, false, begun).await;
    assert!(String::from_utf8_lossy(&met.body).contains("\"text\":\"4 5 "));
    let (_, fallback) = Fault::PrefillRefused.start(Dialect::Anthropic).await.unwrap();
    assert_eq!(ask(&fallback, Dialect::Anthropic, false, begun).await.failure, Some(K::InvalidRequest));
    assert_eq!(ask(&fallback, Dialect::Anthropic, false, "{}").await.failure, None);
}

#[tokio::test]
async fn the_tenth_event_is_broken_and_only_that() {
    for dialect in DIALECTS {
        let (met, ..) = twice(Fault::BrokenEvent, dialect, true).await;
        let mut reader = StreamReader::new();
        reader.push(met.body.clone());
        let steps: Vec<_> = std::iter::from_fn(|| reader.next_step()).collect();
        let broken = |step: &towline_wire::stream::Step| matches!(step, towline_wire::stream::Step::Malformed);
        let places: Vec<_> = steps.iter().enumerate().filter(|(_, p)| broken(&p.step)).map(|(n, _)| n + 1).collect();
        assert_eq!(places, [10], "{dialect:?}");
    }
}

#[tokio::test]
async fn the_terminator_alone_is_missing() {
    for (dialect, marker) in [(Dialect::OpenAiChat, "[DONE]"), (Dialect::Anthropic, "event: message_stop")] {
        let (met, ..) = twice(Fault::NoTerminator, dialect, true).await;
        let text = String::from_utf8_lossy(&met.body);
        assert!(!text.contains(marker) && text.contains(":60"), "{text}");
    }
}

fn cases() -> impl Iterator<Item = (Fault, Dialect, bool)> {
    let pairs = DIALECTS.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]);
    Fault::ALL.into_iter().flat_map(move |fault| pairs.clone().map(move |(dialect, stream)| (fault, dialect, stream)))
}
