use serde_json::json;

use super::*;

#[test]
fn they_are_numbered_from_1_to_16() {
    assert!(Fault::ALL.iter().map(|fault| fault.number()).eq(1..=16));
}

#[test]
fn the_beginning_of_an_answer_is_found_in_every_dialect() {
    for request in [
        json!({"messages": [{"role": "user", "content": "count"}, {"role": "assistant", "content": "1 2 "}]}),
        json!({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "1 "}, {"type": "text", "text": "2 "}]}]}),
        json!({"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "1 2 "}]}]}),
        json!({"contents": [{"role": "model", "parts": [{"text": "1 2 "}]}]}),
        json!({"messages": [{"role": "assistant", "content": [{"text": "1 2 "}]}]}),
    ] {
        assert_eq!(prefill(&request).as_deref(), Some("1 2 "), "{request}");
    }
    for request in [json!(null), json!({"input": "count"}), json!({"messages": [{"role": "user", "content": "count"}]})] {
        assert_eq!(prefill(&request), None, "{request}");
    }
}
