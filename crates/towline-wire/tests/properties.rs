//! What must hold whatever the bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{convert::Infallible, time::SystemTime};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use proptest::{collection::vec, option, prelude::*, sample};
use towline_core::Dialect;
use towline_wire::{
    error::Answer,
    eventstream, facts, limits, patch,
    sse::{self, Event, Frame},
    stream::{Progress, StreamReader},
};

/// Pieces from which streams are put together that are nearly right.
const LINES: [&str; 24] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}",
    "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
    "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}",
    "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"finishReason\":\"SAFETY\"}]}",
    "data: {\"error\":\"x\"}",
    "data:[DONE]",
    "data: {",
    "data",
    "data:",
    "data: \u{e9}\u{1f600}",
    "event: error",
    "event:x",
    "event",
    "id: 7",
    "retry: 10",
    ": comment",
    ":HTTP_STATUS/429",
    "field: unknown",
    "{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}",
    "\u{feff}data: x",
    " data: x",
    "",
    "",
];

fn stream_text() -> impl Strategy<Value = String> {
    let line = (sample::select(&LINES[..]), sample::select(&["\n", "\r", "\r\n", "\n\n", ""][..]))
        .prop_map(|(line, end)| format!("{line}{end}"));
    (any::<bool>(), vec(line, 0..12)).prop_map(|(bom, lines)| format!("{}{}", if bom { "\u{feff}" } else { "" }, lines.concat()))
}

/// JSON of the keys that our readers look at, with values of any type, and mutations of its bytes.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let keys = [
        "error",
        "errors",
        "code",
        "type",
        "message",
        "status",
        "details",
        "detail",
        "metadata",
        "raw",
        "@type",
        "retryDelay",
        "quotaId",
        "choices",
        "delta",
        "content",
        "finish_reason",
        "candidates",
        "promptFeedback",
        "blockReason",
        "parts",
        "text",
        "usage",
        "response",
        "output",
        "object",
        "stopReason",
        "base_resp",
        "status_code",
        "model",
        "stream",
        "max_tokens",
        "generationConfig",
        "retry_after",
        "estimated_time",
        "predictions",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        sample::select(
            &[
                "true",
                "429",
                "1e999",
                "\"error\"",
                "\"response\"",
                "\"rate_limit_error\"",
                "\"Limit 5, Requested 6\"",
                "\"try again in 9999999999h\"",
                "\"{\\\"error\\\":{\\\"code\\\":\\\"x\\\"}}\"",
                "\"PerDay\"",
                "\"99999999999999999999s\"",
                "\"\\ud83d\\ude00\"",
                "\"type.googleapis.com/google.rpc.RetryInfo\"",
            ][..]
        )
        .prop_map(str::to_owned),
        "[a-z :{}\\[\\]']{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let json = leaf.prop_recursive(6, 48, 5, move |inner| {
        let pair = (sample::select(keys.to_vec()), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(pair, 0..5).prop_map(|pairs| format!("{{{}}}", pairs.join(","))),
        ]
    });
    (json, option::of((any::<sample::Index>(), any::<u8>())), option::of(any::<sample::Index>())).prop_map(|(json, flip, cut)| {
        let mut bytes = json.into_bytes();
        if let Some((at, byte)) = flip
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    })
}

/// `bytes` in pieces of these sizes, again and again.
fn pieces<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> Vec<Bytes> {
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(sizes.next().copied().unwrap_or(1).max(1)));
        out.push(Bytes::copy_from_slice(piece));
        rest = after;
    }
    out
}

fn frames(chunks: Vec<Bytes>, finish: bool) -> Vec<Frame> {
    let mut decoder = sse::Decoder::new();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        out.extend(std::iter::from_fn(|| decoder.next_frame().unwrap()));
    }
    if finish {
        decoder.finish();
        out.extend(std::iter::from_fn(|| decoder.next_frame().unwrap()));
    }
    out
}

fn steps(chunks: Vec<Bytes>) -> (Vec<Progress>, StreamReader) {
    let mut reader = StreamReader::new();
    let mut out = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        out.extend(std::iter::from_fn(|| reader.next_step()));
    }
    reader.finish();
    out.extend(std::iter::from_fn(|| reader.next_step()));
    (out, reader)
}

/// Name and data of each event, as the oracle reads them. It hands out blocks without data as well, which are no events.
fn oracle(chunks: Vec<Bytes>) -> Vec<(String, String)> {
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
    let events = sse_stream::SseByteStream::new(chunks).collect::<Vec<_>>().now_or_never().unwrap();
    events.into_iter().map(Result::unwrap).filter_map(|event| Some((event.event.unwrap_or_default(), event.data?))).collect()
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = sample::select(
        &[
            "retry-after",
            "retry-after-ms",
            "x-should-retry",
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
            "x-ratelimit-renewalperiod-tokens",
            "anthropic-ratelimit-tokens-reset",
            "ratelimit",
            "ratelimit-policy",
            "ratelimit-limit",
            "x-ratelimit-timeremaining",
            "x-ratelimit-reset",
            "date",
            "x-ratelimit-limit-req-10-second",
            "x-ratelimit-reset-99999999999999999999-year",
            "x-amzn-errortype",
            "x-error-message",
            "content-type",
        ][..],
    );
    let value = prop_oneof!["[0-9]{0,30}", "[0-9hms.]{0,12}", "[0-9TZ:.+-]{0,30}", "[\"a-z0-9;=, ]{0,24}", "\\PC{0,16}"];
    vec((name, value), 0..6).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    })
}

fn dialect() -> impl Strategy<Value = Option<Dialect>> {
    let all = [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];
    option::of(sample::select(all.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decoder_agrees_with_another_one(text in stream_text(), sizes in vec(1_usize..40, 1..6)) {
        let events = frames(pieces(text.as_bytes(), &sizes), false).into_iter().filter_map(|frame| match frame {
            Frame::Event(event) => Some((String::from_utf8(event.name.to_vec()).unwrap(), String::from_utf8(event.data.to_vec()).unwrap())),
            _ => None,
        });
        prop_assert_eq!(events.collect::<Vec<_>>(), oracle(pieces(text.as_bytes(), &sizes)));
    }

    #[test]
    fn frames_do_not_depend_on_the_split(bytes in prop_oneof![stream_text().prop_map(String::into_bytes), vec(any::<u8>(), 0..200)], sizes in vec(1_usize..9, 1..6)) {
        prop_assert_eq!(frames(pieces(&bytes, &sizes), true), frames(vec![Bytes::from(bytes)], true));
    }

    #[test]
    fn steps_do_not_depend_on_the_split(text in stream_text(), sizes in vec(1_usize..40, 1..6)) {
        let (split, one) = steps(pieces(text.as_bytes(), &sizes));
        let (whole, other) = steps(vec![Bytes::from(text)]);
        prop_assert_eq!(split, whole);
        prop_assert_eq!((one.verdict(), one.usage()), (other.verdict(), other.usage()));
    }

    #[test]
    fn an_encoded_event_is_decoded(name in "[a-z.]{0,8}", data in "\\PC{0,20}(\n\\PC{0,20}){0,3}") {
        let event = Event::new(name, data.replace('\r', ""));
        prop_assert_eq!(frames(vec![event.encode()], false), vec![Frame::Event(event)]);
    }

    #[test]
    fn no_event_outgrows_its_limit(bytes in prop_oneof![stream_text().prop_map(String::into_bytes), vec(sample::select(b"data: \n\rx".to_vec()), 0..300)], limit in 0_usize..64) {
        let mut decoder = sse::Decoder::with_limit(limit);
        decoder.push(bytes.into());
        while let Ok(Some(frame)) = decoder.next_frame() {
            let size = match &frame {
                Frame::Event(event) => event.data.len(),
                Frame::Comment(text) | Frame::Stray(text) => text.len(),
                _ => 0,
            };
            prop_assert!(size <= limit, "{frame:?}");
        }
    }

    #[test]
    fn no_answer_makes_a_reader_panic(body in prop_oneof![body(), vec(any::<u8>(), 0..300)], status in 100_u16..1000, headers in headers(), dialect in dialect(), secs in any::<u32>()) {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs.into());
        let status = StatusCode::from_u16(status).unwrap();
        let failure = Answer { status, headers: &headers, body: &body, dialect }.failure(now);
        prop_assert!(failure.is_some() || status.as_u16() < 300 || status.as_u16() >= 600);
        let _ = limits::read(&headers, now);
        let mut sse = b"data: ".to_vec();
        sse.extend(&body);
        sse.extend(b"\n\n");
        let (_, reader) = steps(vec![sse.into()]);
        let _ = reader.verdict();
        let _ = towline_wire::stream::Usage::of_answer(&body);
        let (_, reader) = steps(vec![body.into()]);
        let _ = reader.verdict();
    }

    #[test]
    fn no_request_makes_a_reader_panic(body in prop_oneof![body(), vec(any::<u8>(), 0..300)], path in "(/[a-zA-Z0-9:.%-]{0,12}){1,6}(\\?[a-z=%]{0,8})?", model in "\\PC{0,12}", dialect in dialect()) {
        if let Ok(uri) = path.parse::<Uri>() {
            let _ = facts::read(&uri, &body);
        }
        if let Some(patched) = dialect.and_then(|dialect| patch::model_in_path(&path, dialect, &model)) {
            prop_assert_eq!(patched.parse::<Uri>().is_ok(), path.parse::<Uri>().is_ok());
        }
        let body = Bytes::from(body);
        if let Ok(patched) = patch::model(&body, &model) {
            let value: serde_json::Value = serde_json::from_slice(&patched).unwrap_or_default();
            prop_assert!(value.is_null() || value["model"] == model.as_str());
            prop_assert_eq!(patch::model(&patched, &model).unwrap(), patched);
        }
    }

    #[test]
    fn no_frame_makes_the_binary_decoder_panic(bytes in vec(any::<u8>(), 0..200), prelude in option::of((0_u32..100, 0_u32..100)), sizes in vec(1_usize..40, 1..4)) {
        let mut whole = prelude.map_or_else(Vec::new, |(total, headers)| [total.to_be_bytes(), headers.to_be_bytes()].concat());
        whole.extend(bytes);
        let mut decoder = eventstream::Decoder::with_limit(128);
        for piece in pieces(&whole, &sizes) {
            decoder.push(&piece);
            while let Ok(Some(_)) = decoder.next_message() {}
        }
        let _ = steps(pieces(&whole, &sizes));
    }
}
