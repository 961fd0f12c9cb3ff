use towline_core::Scope;

use super::*;
use crate::eventstream::tests::message;

fn read(chunks: &[&[u8]]) -> (Vec<Progress>, StreamReader) {
    let mut reader = StreamReader::new();
    let mut steps = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        steps.extend(std::iter::from_fn(|| reader.next_step()));
    }
    reader.finish();
    steps.extend(std::iter::from_fn(|| reader.next_step()));
    (steps, reader)
}

/// Each event's data as a letter: l(ifecycle), t(ext), r(easoning), c(all), . (terminal), e(rror), m(alformed); `!` if it ends.
fn letters(events: &[&str]) -> (String, StreamReader) {
    let body: String = events.iter().map(|data| format!("data: {data}\n\n")).collect();
    let (steps, reader) = read(&[body.as_bytes()]);
    (spell(&steps), reader)
}

fn spell(steps: &[Progress]) -> String {
    let letter = |step: &Progress| match step.step {
        Step::Lifecycle => "l",
        Step::Content(Content::Text) => "t",
        Step::Content(Content::Reasoning) => "r",
        Step::Content(Content::Tool) => "c",
        Step::Terminal => ".",
        Step::Error(_) => "e",
        Step::Malformed => "m",
    };
    steps.iter().map(|step| format!("{}{}", letter(step), if step.ends { "!" } else { "" })).collect()
}

fn kind(events: &[&str]) -> Option<FailureKind> {
    letters(events).1.verdict().map(|failure| failure.kind)
}

#[test]
fn chat_completions_are_read() {
    let (steps, reader) = letters(&[
        r#"{"choices":[],"prompt_filter_results":[{"content_filter_results":{}}]}"#,
        r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
        r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"Hi"}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
        "[DONE]",
    ]);
    assert_eq!(steps, "llrttcl!l.!");
    assert_eq!((reader.verdict(), reader.usage().input, reader.usage().output), (None, Some(5), Some(2)));
    assert_eq!(
        kind(&[r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"content_filter"}]}"#]),
        Some(FailureKind::ContentPolicy)
    );
    assert_eq!(kind(&[r#"{"choices":[{"delta":{"refusal":"no"}}]}"#]), Some(FailureKind::ContentPolicy));
    assert_eq!(kind(&[r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#]), Some(FailureKind::ServerError));
    assert_eq!(kind(&[r#"{"choices":[{"delta":{},"error":{"code":429}}]}"#]), Some(FailureKind::RateLimited));
}

#[test]
fn responses_are_read() {
    let (steps, reader) = letters(&[
        r#"{"type":"response.created","response":{"status":"in_progress","error":null}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"message"}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#,
        r#"{"type":"response.output_text.delta","delta":"Hi"}"#,
        r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":"{"}"#,
        r#"{"type":"response.completed","response":{"status":"completed","error":null,"usage":{"input_tokens":5,"output_tokens":2}}}"#,
    ]);
    assert_eq!(steps, "llrtcc.!");
    assert_eq!((reader.verdict(), reader.usage().output), (None, Some(2)));
    let failed =
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_is_overloaded","message":"x"}}}"#;
    assert_eq!(kind(&[failed]), Some(FailureKind::Overloaded));
    assert_eq!(
        kind(&[r#"{"type":"error","code":"insufficient_quota","message":"x","param":null}"#]),
        Some(FailureKind::QuotaExhausted)
    );
    let filtered = r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}"#;
    assert_eq!(kind(&[filtered]), Some(FailureKind::ContentPolicy));
    assert_eq!(kind(&[r#"{"type":"response.refusal.delta","delta":"no"}"#]), Some(FailureKind::ContentPolicy));
}

#[test]
fn anthropics_messages_are_read() {
    let (steps, reader) = letters(&[
        r#"{"type":"message_start","message":{"role":"assistant","content":[],"usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"f"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    assert_eq!(steps, "lllrtlccl!.!");
    assert_eq!(reader.verdict(), None);
    assert_eq!((reader.usage().input, reader.usage().cached, reader.usage().output), (Some(9), Some(4), Some(7)));
    assert_eq!(
        kind(&[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}  }"#]),
        Some(FailureKind::Overloaded)
    );
    assert_eq!(kind(&[r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#]), Some(FailureKind::ContentPolicy));
}

#[test]
fn gemini_is_read() {
    let (steps, reader) = letters(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1}}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}],"usageMetadata":{"candidatesTokenCount":8}}"#,
    ]);
    assert_eq!(steps, "rtc!");
    assert_eq!((reader.verdict(), reader.usage().input, reader.usage().output), (None, Some(5), Some(8)));
    assert_eq!(kind(&[r#"{"candidates":[{"finishReason":"SAFETY"}]}"#]), Some(FailureKind::ContentPolicy));
    assert_eq!(kind(&[r#"{"promptFeedback":{"blockReason":"OTHER"}}"#]), Some(FailureKind::ContentPolicy));
    let armor = letters(&[r#"{"promptFeedback":{"blockReason":"MODEL_ARMOR"}}"#]).1.verdict().unwrap();
    assert_eq!((armor.kind, armor.scope), (FailureKind::ContentPolicy, Scope::Request));
}

#[test]
fn bedrocks_frames_are_read() {
    let event = |kind: &str, payload: &str| message(&[(":message-type", "event"), (":event-type", kind)], payload.as_bytes());
    let body = [
        event("messageStart", r#"{"role":"assistant"}"#),
        event("contentBlockDelta", r#"{"delta":{"text":"Hi"},"contentBlockIndex":0}"#),
        event("contentBlockStart", r#"{"start":{"toolUse":{"name":"f"}}}"#),
        event("chunk", r#"{"bytes":"eyJ0eXBlIjoicGluZyJ9"}"#),
        event("messageStop", r#"{"stopReason":"end_turn"}"#),
        event("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":2}}"#),
    ]
    .concat();
    for size in [1, 7, body.len()] {
        let (steps, reader) = read(&body.chunks(size).collect::<Vec<_>>());
        assert_eq!(spell(&steps), "ltcl.!l");
        assert_eq!((reader.verdict(), reader.usage().input), (None, Some(5)));
    }
    let exception = message(
        &[(":message-type", "exception"), (":exception-type", "throttlingException")],
        br#"{"message":"Too many requests"}"#,
    );
    assert_eq!(read(&[&exception]).1.verdict().map(|f| f.kind), Some(FailureKind::RateLimited));
    let error = message(&[(":message-type", "error"), (":error-code", "internalServerException"), (":error-message", "x")], b"");
    assert_eq!(read(&[&error]).1.verdict().map(|f| f.kind), Some(FailureKind::ServerError));
    let guard = event("messageStop", r#"{"stopReason":"guardrail_intervened"}"#);
    assert_eq!(read(&[&guard]).1.verdict().map(|f| f.scope), Some(Scope::Request));
    let mut broken = body.clone();
    broken[20] ^= 1;
    assert_eq!(spell(&read(&[&broken]).0), "m");
}

#[test]
fn cohere_and_tgi_are_read() {
    let cohere = letters(&[
        r#"{"type":"message-start","delta":{"message":{"role":"assistant"}}}"#,
        r#"{"type":"content-delta","delta":{"message":{"content":{"text":"Hi"}}}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#,
    ]);
    assert_eq!((cohere.0.as_str(), cohere.1.verdict()), ("lt.!", None));
    let tgi = letters(&[r#"{"token":{"text":"Hi"},"generated_text":null}"#, r#"{"token":{"text":"!"},"generated_text":"Hi!"}"#]);
    assert_eq!((tgi.0.as_str(), tgi.1.verdict()), ("tt!", None));
    assert_eq!(kind(&[r#"{"error":"Model is overloaded","error_type":"overloaded"}"#]), Some(FailureKind::Overloaded));
}

#[test]
fn ollamas_lines_are_read() {
    let body = "{\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n{\"response\":\"Hi\",\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true}\n";
    let (steps, reader) = read(&[body.as_bytes()]);
    assert_eq!((spell(&steps).as_str(), reader.verdict()), ("ttl!", None));
    assert_eq!(read(&[b"{\"error\":\"model is overloaded\"}\n"]).1.verdict().map(|f| f.kind), Some(FailureKind::Overloaded));
}

#[test]
fn an_error_is_found_wherever_a_stream_has_it() {
    let verdict = |body: &str| read(&[body.as_bytes()]).1.verdict().map(|f| f.kind);
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    assert_eq!(
        verdict("event:error\n:HTTP_STATUS/429\ndata:{\"message\":\"x\"}\n\n"),
        Some(FailureKind::RateLimited),
        "a status in a comment"
    );
    assert_eq!(verdict("event: error\ndata: upstream failed\n\n"), Some(FailureKind::ServerError), "prose");
    assert_eq!(verdict("data: {\"error\":{\"code\":503}}\n"), Some(FailureKind::Overloaded), "unterminated");
    assert_eq!(
        verdict(&format!("{text}{{\n  \"error\": {{\n    \"code\": 429\n  }}\n}}")),
        Some(FailureKind::RateLimited),
        "bare JSON"
    );
    assert_eq!(verdict("[{\"error\":{\"code\":429}}]\n"), Some(FailureKind::RateLimited), "nothing else");
    assert_eq!(
        verdict(&format!("{text}data: [{{\"error\":{{\"code\":429}}}}]\n\n")),
        Some(FailureKind::RateLimited),
        "a list in an event"
    );
}

#[test]
fn a_stream_is_whole_or_broken() {
    let text = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    assert_eq!(kind(&[text]), Some(FailureKind::StreamBroken));
    assert_eq!(kind(&[text, "[DONE]"]), None);
    assert_eq!(
        kind(&[text, "{broken", r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#]),
        None,
        "an event may be broken amid a whole answer"
    );
    assert_eq!(letters(&[text, "{broken"]).0, "tm");
    assert_eq!(kind(&["[DONE]"]), Some(FailureKind::Malformed), "no content at all");
    assert_eq!(kind(&[r#"{"this":[]}"#]), Some(FailureKind::Malformed));
    assert_eq!(kind(&[]), Some(FailureKind::Malformed));
    let (steps, reader) = read(&[format!("data: {text}\n\ndata: [DONE]").as_bytes()]);
    assert_eq!((spell(&steps).as_str(), reader.verdict()), ("t.!", None), "the last line needs no end");
    let (steps, _) = read(&[format!("data: {text}\n\ndata: {{\"choi").as_bytes()]);
    assert_eq!(spell(&steps), "t", "a cut event is no evidence");
}

#[test]
fn an_event_beyond_the_limit_breaks_the_stream() {
    let mut reader = StreamReader::with_limit(10);
    reader.push("data: 0123456789012345\n\ndata: x\n\n".into());
    assert!(matches!(reader.next_step(), Some(Progress { step: Step::Malformed, .. })));
    assert_eq!(reader.next_step(), None);
}

#[test]
fn words_that_need_a_status_say_nothing_where_none_is_known() {
    let mut reader = StreamReader::new();
    reader.push(Bytes::from_static(
        b"data: {\"error\":{\"message\":\"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.\"}}\n\n",
    ));
    while reader.next_step().is_some() {}
    reader.finish();
    assert_eq!(reader.verdict().map(|failure| failure.kind), Some(FailureKind::ContextLength), "and not a missing permission");
}

#[test]
fn it_tells_where_an_event_ends_and_whether_another_has_begun() {
    let mut reader = StreamReader::new();
    reader.push("data: {}\n\ndata: {\r\n\r\n: note\n\ndata: {".into());
    let mut ends = Vec::new();
    while reader.next_step().is_some() {
        ends.extend(reader.position());
    }
    assert_eq!(ends, [10, 21], "the LF after a CR included");
    assert!(!reader.is_between_events());
    reader.push("}\n\n: note\n\n".into());
    assert!(!reader.is_between_events(), "not read yet");
    assert!(reader.next_step().is_some() && reader.position() == Some(3) && reader.next_step().is_none());
    assert!(reader.is_between_events(), "a comment is no event");
    for begun in ["d", "event: x\n", "id: 1\n", "retry: 1\n", "data\n"] {
        let mut reader = StreamReader::new();
        reader.push(begun.into());
        assert!(reader.next_step().is_none() && !reader.is_between_events(), "{begun}");
    }
    let mut binary = StreamReader::new();
    binary.push(Bytes::from_static(b"\0\0"));
    assert!(binary.position().is_none() && binary.is_between_events());
}
