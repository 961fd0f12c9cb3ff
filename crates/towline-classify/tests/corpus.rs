//! The real failures of the corpus, as they come through the layer: all providers at once, without configuration.
//!
//! What the rules make of each answer is tested beside them, in `towline-wire`. Here it is tested that the layer asks them about
//! all that may have failed, whatever its status, and only then.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{env, fs, path::Path};

use http::Response;
use serde_json::Value;
use support::{Script, classify, data, read_all, response};
use towline_classify::ClassifyLayer;
use towline_core::{FailureKind, Outcome, StreamHandle};

/// Records that are told otherwise than labelled, with the reason.
const DEVIATIONS: [(&str, &str); 4] = [
    ("a-0361", "an event of no dialect at all; a target with a dialect, or `reject_empty`, tells"),
    ("a-0369", "an empty answer: `reject_empty` tells"),
    ("a-0379", "JSON of no dialect at all: a target with a dialect and `reject_empty` tell"),
    ("b-0023", "a bare 498 is a wrong key at Cohere and capacity at Groq; the bytes do not say which"),
];

#[tokio::test(start_paused = true)]
async fn the_layer_alone_tells_what_each_answer_is() {
    let Some(folder) = env::var_os("TOWLINE_CORPUS") else {
        assert!(env::var_os("CI").is_none(), "TOWLINE_CORPUS must name the corpus in CI");
        println!("NOT RUN: TOWLINE_CORPUS does not name the folder with failures.jsonl");
        return;
    };
    let text = fs::read_to_string(Path::new(&folder).join("failures.jsonl")).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for record in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        // The binary ones are tested beside their decoder.
        if record.get("ambiguous").is_some_and(|why| !why.is_null()) || record.get("body_encoding").is_some() {
            continue;
        }
        let outcome = outcome(&record).await;
        asked += 1;
        if class(&outcome) != record["expected"]["class"] {
            wrong.push(record["id"].as_str().unwrap().to_owned());
        }
    }
    let unknown: Vec<_> = wrong.iter().filter(|id| DEVIATIONS.iter().all(|(known, _)| known != id)).collect();
    println!("{} of {asked}; deviations without a reason: {unknown:?}", asked - wrong.len());
    assert!(asked > 400 && wrong.len() * 50 <= asked, "{wrong:?}");
}

async fn outcome(record: &Value) -> Outcome {
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in record["headers"].as_object().unwrap() {
        headers.push((name, value.as_str().unwrap_or_default()));
    }
    if record["phase"] == "stream" && !headers.iter().any(|(name, _)| *name == "content-type") {
        headers.push(("content-type", "text/event-stream"));
    }
    let status = u16::try_from(record["status"].as_u64().unwrap()).unwrap();
    let body = Script::new([data(record["body"].as_str().unwrap())]).sized();
    let answer = classify(&ClassifyLayer::new(), response(status, &headers, body)).await;
    let (head, body) = answer.into_parts();
    let told = Outcome::of_response(&Response::from_parts(head.clone(), ()));
    read_all(body);
    // What the end of a stream tells counts where its beginning told nothing.
    let end = StreamHandle::of(&head.extensions).and_then(StreamHandle::outcome);
    if told == Outcome::Success { end.unwrap_or(told) } else { told }
}

fn class(outcome: &Outcome) -> &'static str {
    match outcome.failure().map(|failure| failure.kind) {
        None => "success",
        Some(FailureKind::Malformed | FailureKind::StreamBroken) => "unknown",
        Some(kind) => kind.name(),
    }
}
