//! The corpus of real limit headers.

#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use towline_wire::limits::{self, Bucket, Limits};

/// Records that are read otherwise than the corpus says, and why. None.
const DEVIATIONS: [(&str, &str); 0] = [];

fn said(limits: &Limits) -> Value {
    let mut out = json!({ "retry_after_s": limits.retry_after.map(|d| d.as_secs_f64()) });
    let buckets: [(&str, Bucket); 4] = [
        ("requests", limits.requests),
        ("tokens", limits.tokens),
        ("input_tokens", limits.input_tokens),
        ("output_tokens", limits.output_tokens),
    ];
    for (name, bucket) in buckets {
        out[format!("limit_{name}")] = json!(bucket.limit);
        out[format!("remaining_{name}")] = json!(bucket.remaining);
        out[format!("reset_{name}_s")] = json!(bucket.reset.map(|d| d.as_secs_f64()));
    }
    out
}

fn instant(text: &str) -> SystemTime {
    // The reader of RFC 3339 is private; its own form of a reset reads it.
    let mut headers = http::HeaderMap::new();
    headers.insert("x-ratelimit-reset", text.parse().unwrap());
    SystemTime::UNIX_EPOCH + limits::read(&headers, SystemTime::UNIX_EPOCH).requests.reset.unwrap_or(Duration::ZERO)
}

#[test]
fn real_limits_are_read() {
    let Some(records) = support::corpus("limits.jsonl") else { return };
    let mut wrong = Vec::new();
    for record in &records {
        let id = record["id"].as_str().unwrap();
        let got = said(&limits::read(&support::headers(record), instant(record["now"].as_str().unwrap())));
        let same = record["expected"].as_object().unwrap().iter().all(|(key, want)| match (want.as_f64(), got[key].as_f64()) {
            (Some(want), Some(got)) => (want - got).abs() <= 0.05,
            (want, got) => want.is_none() && got.is_none(),
        });
        let listed = DEVIATIONS.iter().any(|(known, _)| *known == id);
        if same == listed {
            wrong.push(format!("{id}: {} {}, got {got}", record["provider"], record["headers"]));
        }
    }
    println!("{} of {} right", records.len() - DEVIATIONS.len() - wrong.len(), records.len());
    assert!(wrong.is_empty(), "deviations that are not listed, or listed and gone:\n{}", wrong.join("\n"));
}
