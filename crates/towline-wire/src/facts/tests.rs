use proptest::prelude::*;
use towline_core::Dialect;

use super::*;
use crate::scan::tests::documents;

fn facts(uri: &'static str, body: &str) -> Facts {
    read(&Uri::from_static(uri), body.as_bytes())
}

#[test]
fn the_limit_on_output_is_found_in_each_dialect() {
    let limit = |body| facts("/v1/chat/completions", body).max_output_tokens;
    assert_eq!(limit(r#"{"max_tokens":5}"#), Some(5));
    assert_eq!(limit(r#"{"max_tokens":5,"max_completion_tokens":7}"#), Some(7));
    assert_eq!(limit(r#"{"max_output_tokens":5}"#), Some(5));
    assert_eq!(limit(r#"{"generationConfig":{"temperature":1,"maxOutputTokens":9,"thinkingConfig":{"maxTokens":3}}}"#), Some(9));
    assert_eq!(limit(r#"{"inferenceConfig":{"maxTokens":11}}"#), Some(11));
    assert_eq!(limit(r#"{"max_tokens":null,"inferenceConfig":[1],"generationConfig":"x"}"#), None);
    assert_eq!(limit(r#"{"max_tokens":-1,"max_completion_tokens":1.5}"#), None);
}

#[test]
fn the_model_in_the_body_goes_before_the_one_in_the_path() {
    let azure = "https://a.openai.azure.com/openai/deployments/d%20e/chat/completions?api-version=1";
    assert_eq!(facts(azure, "{}").model.as_deref(), Some("d e"));
    assert_eq!(facts(azure, r#"{"model":"gpt\u002d5"}"#).model.as_deref(), Some("gpt-5"));
    assert_eq!(facts(azure, r#"{"model":17}"#).model.as_deref(), Some("d e"));
}

#[test]
fn a_stream_is_asked_for_in_the_body_or_in_the_path() {
    assert!(facts("/v1/messages", r#"{"stream":true}"#).stream);
    assert!(!facts("/v1/messages", r#"{"stream":"true"}"#).stream);
    assert!(facts("/v1beta/models/g:streamGenerateContent", "{}").stream);
}

#[test]
fn the_estimate_counts_text_and_takes_media_as_a_lump() {
    let tokens = |body: &str| facts("/v1/messages", body).input_tokens;
    assert_eq!(tokens("{}"), 0);
    assert_eq!(tokens(r#"{"messages":[{"role":"user","content":"12345678901234567890123456789012345a"}]}"#), 11);
    let picture = "A".repeat(100_000);
    assert_eq!(tokens(&format!(r#"{{"contents":[{{"inline_data":{{"data":"{picture}"}}}}]}}"#)), MEDIA_TOKENS);
    assert_eq!(tokens(&format!(r#"{{"messages":[{{"url":"data:image/png;base64,{picture}"}}]}}"#)), MEDIA_TOKENS);
    assert!(tokens(&format!(r#"{{"prompt":"{picture}"}}"#)) > 25_000);
}

#[test]
fn how_many_answers_are_asked_for_is_found_in_each_dialect() {
    let answers = |body| facts("/v1/chat/completions", body).answers;
    assert_eq!(answers(r#"{"n":3}"#), Some(3));
    assert_eq!(answers(r#"{"n":2,"best_of":5}"#), Some(5));
    assert_eq!(answers(r#"{"generationConfig":{"candidateCount":4,"maxOutputTokens":9}}"#), Some(4));
    for none in [r#"{"max_tokens":5}"#, r#"{"n":null}"#, r#"{"n":"3"}"#, r#"{"n":1.5}"#, r#"{"messages":[{"n":3}]}"#] {
        assert_eq!(answers(none), None, "{none}");
    }
}

#[test]
fn texts_are_counted_by_who_knows_how_and_media_are_a_lump_all_the_same() {
    let uri = Uri::from_static("/v1/messages");
    let words: CountTokens = |text| text.split_whitespace().count() as u64;
    let picture = "A".repeat(1000);
    let body = format!(
        r#"{{"system":"one two","messages":[{{"role":"user","content":[{{"text":"three four\nfive"}},{{"data":"{picture}"}}]}}]}}"#
    );
    let counted = read_with(&uri, body.as_bytes(), Some(words));
    assert_eq!(counted.input_tokens, 2 + 1 + 3 + MEDIA_TOKENS);
    assert_eq!(read_with(&uri, b"{\"system\":\"one two\"", Some(words)).input_tokens, 0, "which is no JSON");
}

#[test]
fn a_body_that_is_no_object_leaves_what_the_path_tells() {
    for body in ["", "{", "[]", "\"x\"", "{\"model\":\"x\"} {", "{\"model\":\"x\"", "\u{0}"] {
        let facts = facts("/model/m/converse", body);
        assert_eq!((facts.dialect, facts.model.as_deref()), (Some(Dialect::Bedrock), Some("m")), "{body:?}");
        assert_eq!((facts.max_output_tokens, facts.input_tokens, facts.stream), (None, 0, false));
    }
    assert_eq!(facts("/model/m/converse", &"[".repeat(100_000)).model.as_deref(), Some("m"));
}

#[test]
fn a_body_that_cannot_be_asked_with_says_why() {
    let why = |body: &[u8]| try_read(&Uri::from_static("/v1/messages"), body).unwrap_err();
    for body in ["", " ", "hello", "{", "{\"a\":}", "{} {}", "{\"a\":\"\u{1}\"}", "{\"a\":1e}"] {
        assert_eq!(why(body.as_bytes()), Unreadable::NotJson, "{body}");
    }
    assert_eq!(why(b"{\"a\":\"\xff\"}"), Unreadable::NotJson, "no UTF-8");
    for body in ["[]", "null", "1", "\"{}\"", "[{\"model\":\"m\"}]"] {
        assert_eq!(why(body.as_bytes()), Unreadable::NotAnObject, "{body}");
    }
}

#[test]
fn depth_is_limited_wherever_it_is() {
    let nested = |key: &str, levels: usize| format!(r#"{{"model":"m","{key}":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    for key in ["messages", "max_tokens", "generationConfig", "stream"] {
        let read = |levels| try_read(&Uri::from_static("/v1/messages"), nested(key, levels).as_bytes());
        assert_eq!(read(126).unwrap().model.as_deref(), Some("m"), "{key}");
        assert_eq!(read(127), Err(Unreadable::TooDeep), "{key}");
        assert_eq!(read(100_000), Err(Unreadable::TooDeep), "{key}");
    }
    let config = format!(r#"{{"generationConfig":{{"x":{}{}}}}}"#, "[".repeat(126), "]".repeat(126));
    assert_eq!(try_read(&Uri::from_static("/"), config.as_bytes()), Err(Unreadable::TooDeep));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_quick_pass_reads_what_the_whole_one_reads(body in documents()) {
        let told = |body: Body<'_>| (body.model.map(Cow::into_owned), body.stream, body.max_output, body.answers, body.text.bytes, body.text.media);
        if let Some(scanned) = Body::scan(&body) {
            let mut json = serde_json::Deserializer::from_slice(&body);
            let whole = Fields(None).deserialize(&mut json).unwrap();
            json.end().unwrap();
            prop_assert_eq!(told(scanned), told(whole));
        }
    }
}

#[test]
fn long_texts_are_counted_alike_by_the_quick_pass() {
    for (body, bytes, media) in [
        (format!(r#"{{"a":[{{"data":"{}"}}]}}"#, "A".repeat(257)), 0, 1),
        (format!(r#"{{"a":[{{"data":["{}"]}}]}}"#, "\\n".repeat(256)), 256, 0),
        (r#"{"a":"data:x"}"#.to_owned(), 0, 1),
        (format!(r#"{{"data":[{{"b":"{}\u00e9"}}]}}"#, "A".repeat(1000)), 1002, 0),
    ] {
        let text = Body::scan(body.as_bytes()).unwrap().text;
        assert_eq!((text.bytes, text.media), (bytes, media), "{body}");
    }
}
