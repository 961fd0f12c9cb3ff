use proptest::prelude::*;

use super::*;

/// One quote after the other.
fn is_suspicious_naively(data: &[u8]) -> bool {
    (0..data.len()).any(|at| data[at] == b'"' && is_sign(&data[at + 1..]))
}

#[test]
fn what_fails_in_the_shape_of_a_success_is_seen() {
    for body in [
        r#"{"error":{"message":"Internal Server Error","code":500}}"#,
        r#"[{"error": "Model is currently loading", "estimated_time": 20.0}]"#,
        r#"{"type" : "error", "error" : {}}"#,
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"message":{"content":null,"refusal": "No."}}]}"#,
        r#"{"content":[],"stop_reason":"refusal"}"#,
        r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
        r#"{"candidates":[{"finishReason": "MALFORMED_FUNCTION_CALL"}]}"#,
        r#"{"base_resp":{"status_code":1002}}"#,
        r#"{"object":"response","status":"failed"}"#,
    ] {
        assert!(is_suspicious(body.as_bytes()), "{body}");
    }
}

#[test]
fn what_begins_or_ends_as_no_json_does_is_seen() {
    for broken in
        ["{\"broken\": [1, 2,", "{", "[", "[{\"a\":1}", "\"", "\"abc", "<html></html>", "Bad Gateway", "no healthy upstream", "}"]
    {
        assert!(is_no_json(broken.as_bytes()), "{broken}");
    }
    for other in
        ["", " \n", "{}", "[]", " {\"a\":1}\r\n", "\"\"", "true", "null\n", "-1", "0", "{\"a\":1}\n{\"a\":2}", "\u{feff}{}"]
    {
        assert!(!is_no_json(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_sign_is_seen_wherever_it_stands() {
    for before in 0..40 {
        for after in 0..10 {
            let body = format!("{}\"error\":1{}", "x".repeat(before), " ".repeat(after));
            assert!(is_suspicious(body.as_bytes()), "{body:?}");
            let quoted = format!("{}\u{a2}\"{}", "x".repeat(before), "y".repeat(after));
            assert!(!is_suspicious(quoted.as_bytes()), "{quoted:?}");
        }
    }
}

#[test]
fn the_beginning_of_an_answer_is_known_in_each_dialect() {
    for data in [
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\"",
        "event: response.created\ndata: {\"type\":\"response.created\"",
        "data: {\"candidates\": [{\"content\": {}}]}",
        "\0\0\0\u{7f}:event-type\u{7}\0messageStart",
    ] {
        assert!(is_answer(data.as_bytes()), "{data}");
    }
    for data in ["", "data: {\"type\":\"speech.audio.delta\",\"audio\":\"UklGR\"}\n\n", "event: endpoint\ndata: /messages\n\n"] {
        assert!(!is_answer(data.as_bytes()), "{data}");
    }
}

#[test]
fn a_usual_answer_is_not_suspicious() {
    for body in [
        "",
        "\"",
        "{\"error",
        r#"{"object":"response","status":"completed","error":null,"output":[]}"#,
        r#"{"choices":[{"message":{"content":"use \"error\": {\"code\": 1}","refusal":null},"finish_reason":"stop"}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason" : "STOP"}]}"#,
        r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false}}}]}"#,
        r#"{"errors": [], "error" : ""}"#,
    ] {
        assert!(!is_suspicious(body.as_bytes()), "{body}");
    }
}

#[test]
fn a_sign_is_seen_in_each_row_and_lane() {
    for length in [LANES - 1, LANES, LANES * BITS, 2 * LANES * BITS + LANES + 9] {
        for before in 0..length {
            let body = format!("{}\"failed\"{}", "\"e".repeat(before / 2), "\"m".repeat((length - before) / 2));
            assert!(is_suspicious(body.as_bytes()), "{body:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_looked_at_together_is_seen_as_one_by_one(
        words in prop::collection::vec(
            prop_oneof![
                40 => "\"[a-z]?|[a-zA-Z0-9_:,{} \u{a2}]{1,9}",
                1 => prop::sample::select(&[
                    "\"error\"", "error\":", "\"errors\" : ", "\"refusal\":\"\"", "\"raiFilteredReason\"", "\"base_resp\"", "\"blockReason",
                    "\"content_filter\"", "\"content_filtered\"", "\"failed\"", "\"finishReason\":\"STOP\"", "\"finishReason\":\"X\"",
                    "\"guardrail_intervened\"", "\"malformed_", "\\\"error\\\"",
                ][..]).prop_map(str::to_owned),
            ],
            0..300,
        )
    ) {
        let data = words.concat();
        prop_assert_eq!(is_suspicious(data.as_bytes()), is_suspicious_naively(data.as_bytes()));
    }
}
