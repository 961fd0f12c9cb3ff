//! A first look at a success: may this be an error?

/// Whether a JSON document, or its beginning, may be a failure in disguise and is worth parsing.
///
/// It looks for names and values that failures carry, between quotes as JSON has them. In a model's own text they stand
/// between escaped quotes and are not found. A name whose value is `null`, an empty string or an empty list is no sign.
pub(crate) fn is_suspicious(data: &[u8]) -> bool {
    let (words, rest) = data.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let mut quotes = quotes(u64::from_le_bytes(*word));
        while quotes != 0 {
            let after = at + quotes.trailing_zeros() as usize / 8 + 1;
            if data.get(after).is_some_and(may_begin) && data.get(after..).is_some_and(is_sign) {
                return true;
            }
            quotes &= quotes - 1;
        }
        at += 8;
    }
    rest.iter().enumerate().any(|(nth, byte)| *byte == b'"' && data.get(at + nth + 1..).is_some_and(is_sign))
}

/// The highest bit of each byte that is a quote. Eight at once: an answer has sixty quotes in a thousand bytes, too many for a search from one to
/// the next, and too few to look at each byte.
const fn quotes(word: u64) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    let zero_where_equal = word ^ u64::from_ne_bytes([b'"'; 8]);
    // Adding to the low seven bits carries into the eighth unless they are all zero, and never beyond it.
    !(((zero_where_equal & LOW) + LOW) | zero_where_equal | LOW)
}

/// Whether a first frame holds too little to tell anything: some servers send blanks while they work, others their first bytes alone.
pub(crate) fn is_too_little(data: &[u8]) -> bool {
    data.trim_ascii().len() < ENOUGH
}

/// Whether a whole document that is said to be JSON is none from end to end: it does not begin as one, or does not end as it began. What is
/// wrong in its midst is not looked for. One that is blank is another matter.
pub(crate) fn is_no_json(document: &[u8]) -> bool {
    let document = document.trim_ascii();
    let ends = |with: u8| document.len() > 1 && document.last() == Some(&with);
    match document.first() {
        Some(b'{') => !ends(b'}'),
        Some(b'[') => !ends(b']'),
        Some(b'"') => !ends(b'"'),
        Some(b't' | b'f' | b'n') => ![&b"true"[..], b"false", b"null"].contains(&document),
        Some(b'-' | b'0'..=b'9' | 0x80..) | None => false,
        Some(_) => true,
    }
}

/// As many bytes as the shortest sign needs with what stands before it: `[{"error":{`.
const ENOUGH: usize = 11;

/// Whether a piece of a stream is one of an LLM's answer, as far as its first words tell.
pub(crate) fn is_answer(data: &[u8]) -> bool {
    let signs: [&[u8]; 5] = [b"\"choices\"", b"\"message_start\"", b"\"response.created\"", b"\"candidates\"", b"messageStart"];
    (0..data.len()).filter_map(|at| data.get(at..)).any(|rest| signs.iter().any(|sign| rest.starts_with(sign)))
}

/// Whether a sign of failure may begin so. After most quotes stands a colon, a comma or another letter.
const fn may_begin(byte: &u8) -> bool {
    matches!(byte, b'b' | b'c' | b'e' | b'f' | b'g' | b'm' | b'r')
}

/// Whether what stands after a quote is a sign of failure.
fn is_sign(text: &[u8]) -> bool {
    let filled = |word: &[u8]| text.strip_prefix(word).is_some_and(is_filled);
    let starts = |word: &[u8]| text.starts_with(word);
    match text.first() {
        Some(b'e') => filled(b"error\"") || filled(b"errors\""),
        Some(b'r') => filled(b"refusal\"") || starts(b"raiFilteredReason\""),
        Some(b'b') => starts(b"base_resp\"") || starts(b"blockReason"),
        Some(b'c') => starts(b"content_filter\"") || starts(b"content_filtered\""),
        Some(b'f') => starts(b"failed\"") || text.strip_prefix(b"finishReason\"").is_some_and(is_odd_end),
        Some(b'g') => starts(b"guardrail_intervened\""),
        Some(b'm') => starts(b"malformed_"),
        _ => false,
    }
}

/// Whether a name has a value that tells something. What is a value itself, and no name, does.
fn is_filled(after: &[u8]) -> bool {
    value(after).is_none_or(|value| ![&b"null"[..], b"\"\"", b"[]", b"false"].iter().any(|nothing| value.starts_with(nothing)))
}

/// Whether Gemini's reason to stop is none of the two with which an answer is whole or merely long.
fn is_odd_end(after: &[u8]) -> bool {
    value(after).is_some_and(|value| !value.starts_with(b"\"STOP\"") && !value.starts_with(b"\"MAX_TOKENS\""))
}

/// The value that follows a name's closing quote.
fn value(after: &[u8]) -> Option<&[u8]> {
    Some(after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for broken in [
            "{\"broken\": [1, 2,",
            "{",
            "[",
            "[{\"a\":1}",
            "\"",
            "\"abc",
            "<html></html>",
            "Bad Gateway",
            "no healthy upstream",
            "}",
        ] {
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
        for data in
            ["", "data: {\"type\":\"speech.audio.delta\",\"audio\":\"UklGR\"}\n\n", "event: endpoint\ndata: /messages\n\n"]
        {
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
}
