use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::scan::tests::documents;

fn patched(body: &'static str) -> String {
    let out = model(&Bytes::from_static(body.as_bytes()), "b\"c").unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn everything_else_keeps_its_bytes() {
    assert_eq!(
        patched("{\"x\": 1e400 ,\n\"model\" :\t\"a\", \"y\":[\"model\"]}"),
        "{\"x\": 1e400 ,\n\"model\" :\t\"b\\\"c\", \"y\":[\"model\"]}"
    );
    assert_eq!(patched(r#"{"a":{"model":"x"},"model":{"n":[1]}}"#), r#"{"a":{"model":"x"},"model":"b\"c"}"#);
}

#[test]
fn all_of_several_are_replaced_also_under_an_escaped_key() {
    assert_eq!(patched(r#"{"model":1,"\u006dodel":null}"#), r#"{"model":"b\"c","\u006dodel":"b\"c"}"#);
}

#[test]
fn a_model_alone_is_put_in_as_it_is_among_other_changes() {
    let others = Patch::new().model("b").parameters(r#"{"nowhere":null}"#).unwrap();
    for body in [
        r#"{"model":"a","x":[1, 2]}"#,
        r#" { "x" : {"model":"y"} , "model" : "a" } "#,
        r#"{"model":"a","\u006dodel":"b","model":{"n":1}}"#,
        r#"{"model":"b"}"#,
        r#"{"model":"\u0062"}"#,
        r#"{"\ud800":1,"model":"a"}"#,
        r#"{"x":1}"#,
        "{}",
        "[]",
        r#"{"model":"a""#,
    ] {
        let body = Bytes::from_static(body.as_bytes());
        assert_eq!(Patch::new().model("b").apply(&body, None), others.apply(&body, None), "{body:?}");
    }
}

#[test]
fn a_missing_model_is_put_in_first() {
    assert_eq!(patched(" {}"), r#" {"model":"b\"c"}"#);
    assert_eq!(patched("{ }"), r#"{"model":"b\"c" }"#);
    assert_eq!(patched(r#"{"a":1}"#), r#"{"model":"b\"c","a":1}"#);
}

#[test]
fn a_body_with_this_model_is_not_copied() {
    let body = Bytes::from_static(br#"{"model":"\u0061"}"#);
    let same = model(&body, "a").unwrap();
    assert_eq!(same.as_ptr(), body.as_ptr());
}

#[test]
fn what_is_not_one_object_is_refused() {
    for body in ["", "[]", "null", "{", "{}{}", "{\"model\":}", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
        assert_eq!(model(&Bytes::from_static(body.as_bytes()), "b"), Err(NotAnObject), "{body:?}");
    }
}

#[test]
fn the_path_is_patched_where_the_dialect_names_the_model_there() {
    let patch = |path, dialect| model_in_path(path, dialect, "a:b/c");
    assert_eq!(patch("/model/x%3A0/converse-stream", Dialect::Bedrock).as_deref(), Some("/model/a%3Ab%2Fc/converse-stream"));
    assert_eq!(
        patch("/openai/deployments/gpt/chat/completions?api-version=1", Dialect::OpenAiChat).as_deref(),
        Some("/openai/deployments/a%3Ab%2Fc/chat/completions?api-version=1")
    );
    assert_eq!(
        patch("/openai/deployments/gpt/responses", Dialect::OpenAiChat).as_deref(),
        Some("/openai/deployments/a%3Ab%2Fc/responses")
    );
    assert_eq!(patch("/v1/chat/completions", Dialect::OpenAiChat), None);
    assert_eq!(patch("/model/x/converse", Dialect::Gemini), None);
    assert_eq!(patch("?/model/x/converse", Dialect::Bedrock), None);
    assert_eq!(
        model_in_path("/v1beta/models/x:generateContent", Dialect::Gemini, "models/y").as_deref(),
        Some("/v1beta/models/y:generateContent")
    );
}

#[test]
fn a_body_whose_model_stands_in_the_path_is_given_none() {
    let patch = Patch::new().model("b");
    for (body, dialect, patched) in [
        (r#"{"contents":[]}"#, Dialect::Gemini, r#"{"contents":[]}"#),
        (r#"{"messages":[]}"#, Dialect::Bedrock, r#"{"messages":[]}"#),
        (r#"{"model":"a"}"#, Dialect::Gemini, r#"{"model":"b"}"#),
        ("{}", Dialect::OpenAiChat, r#"{"model":"b"}"#),
    ] {
        assert_eq!(patch.apply(&Bytes::from_static(body.as_bytes()), Some(dialect)).unwrap(), patched);
    }
}

fn merged(body: &str, parameters: &str) -> String {
    let patched = Patch::new().parameters(parameters).unwrap().apply(&Bytes::copy_from_slice(body.as_bytes()), None).unwrap();
    String::from_utf8(patched.to_vec()).unwrap()
}

#[test]
fn parameters_are_merged_as_the_standard_has_it() {
    // The cases of RFC 7396, appendix A, whose target and patch are objects.
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"b":"c","a":"b"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"a":1}"#, r#"{"a":{}}"#, r#"{"a":{}}"#),
    ] {
        assert_eq!(merged(target, patch), result, "{target} and {patch}");
    }
}

#[test]
fn what_no_parameter_speaks_of_keeps_its_bytes() {
    let body = "{ \"a\" : 1e400,\n \"gone\":[1],\t\"b\":{ \"x\": 1.0 , \"y\":2} , \"last\":0 }";
    let parameters = r#"{"gone":null,"b":{"y":3},"last":null}"#;
    assert_eq!(merged(body, parameters), "{ \"a\" : 1e400,\t\"b\":{ \"x\": 1.0 , \"y\":3} }");
    assert_eq!(merged(body, r#"{"a":null}"#), body.replace(" \"a\" : 1e400,", ""));
}

#[test]
fn parameters_that_change_nothing_copy_nothing() {
    let body = Bytes::from_static(br#"{"a":1,"b":{"c":"\u0064"}}"#);
    let patch = Patch::new().parameters(r#"{"a":1,"b":{"c":"d"},"e":null}"#).unwrap();
    assert_eq!(patch.apply(&body, None).unwrap().as_ptr(), body.as_ptr());
    assert!(Patch::new().is_empty() && !patch.is_empty() && patch.sets("e") && !patch.sets("c"));
}

#[test]
fn parameters_that_are_no_object_or_too_deep_are_refused() {
    for json in ["", "1", "[]", "null", r#"{"a":}"#, "{} {}"] {
        assert_eq!(Patch::new().parameters(json).map(drop), Err(NotAnObject), "{json:?}");
    }
    let nested = |deep: usize| format!("{}{}{}", r#"{"a":"#.repeat(deep), "1", "}".repeat(deep));
    assert!(Patch::new().parameters(&nested(33)).is_ok());
    assert!(Patch::new().parameters(&nested(34)).is_err() && Patch::new().parameters(&nested(100_000)).is_err());
}

#[test]
fn no_debug_shows_a_parameter_or_a_prompt() {
    let patch = Patch::new().model("m").parameters(r#"{"user":"s3cret"}"#).unwrap().system_prompt("s3cret");
    assert_eq!(format!("{patch:?}"), r#"Patch { model: true, parameters: ["user"], system_prompt: true }"#);
}

#[test]
fn the_system_prompt_is_put_where_each_dialect_keeps_it() {
    use Dialect as D;
    for (dialect, body, patched) in [
        (D::OpenAiChat, r#"{"messages":[]}"#, r#"{"messages":[{"role":"system","content":"B\"e"}]}"#),
        (
            D::OpenAiChat,
            r#"{"messages":[ {"role":"user"}]}"#,
            r#"{"messages":[ {"role":"system","content":"B\"e"},{"role":"user"}]}"#,
        ),
        (
            D::OpenAiChat,
            r#"{"messages":[{"role":"system","content":"x"}, {"content":[],"role":"developer"} , {"role":"user"}, {"role":"system"}]}"#,
            r#"{"messages":[{"role":"system","content":"B\"e"} , {"role":"user"}, {"role":"system"}]}"#,
        ),
        (D::OpenAiChat, r#"{"messages":[{"role":"system"}]}"#, r#"{"messages":[{"role":"system","content":"B\"e"}]}"#),
        (D::OpenAiResponses, r#"{"input":"hello"}"#, r#"{"instructions":"B\"e","input":"hello"}"#),
        (
            D::OpenAiResponses,
            r#"{"instructions":null,"input":[{"role":"developer"}, {"role":"user"}]}"#,
            r#"{"instructions":"B\"e","input":[{"role":"user"}]}"#,
        ),
        (D::OpenAiResponses, r#"{"input":[{"role":"developer"}]}"#, r#"{"instructions":"B\"e","input":[]}"#),
        (D::Anthropic, r#"{"system":[{"type":"text"}],"messages":[]}"#, r#"{"system":"B\"e","messages":[]}"#),
        (
            D::Gemini,
            r#"{"contents":[], "system_instruction":{"parts":[]}}"#,
            r#"{"systemInstruction":{"parts":[{"text":"B\"e"}]},"contents":[]}"#,
        ),
        (D::Bedrock, r#"{"messages":[]}"#, r#"{"system":[{"text":"B\"e"}],"messages":[]}"#),
        (
            D::Bedrock,
            r#"{"anthropic_version":"x","system":"s","messages":[]}"#,
            r#"{"anthropic_version":"x","system":"B\"e","messages":[]}"#,
        ),
    ] {
        let patch = Patch::new().system_prompt("B\"e");
        let out = patch.apply(&Bytes::from_static(body.as_bytes()), Some(dialect)).unwrap();
        assert_eq!(out, patched, "{dialect:?}");
        assert_eq!(patch.apply(&out, Some(dialect)).unwrap().as_ptr(), out.as_ptr(), "once is enough");
    }
}

#[test]
fn a_body_without_a_conversation_gets_no_system_prompt() {
    use Dialect as D;
    for (dialect, body) in [
        (Some(D::OpenAiChat), r#"{"input":"to embed"}"#),
        (Some(D::OpenAiChat), r#"{"messages":"none"}"#),
        (Some(D::OpenAiResponses), "{}"),
        (Some(D::Anthropic), r#"{"prompt":""}"#),
        (Some(D::Gemini), r#"{"content":{}}"#),
        (Some(D::Bedrock), "{}"),
        (None, r#"{"messages":[]}"#),
    ] {
        let body = Bytes::from_static(body.as_bytes());
        assert_eq!(Patch::new().system_prompt("x").apply(&body, dialect).unwrap(), body, "{dialect:?}");
    }
}

#[test]
fn parameters_go_before_the_prompt_where_both_speak_of_one_member() {
    let patch = Patch::new().parameters(r#"{"system":null}"#).unwrap().system_prompt("x");
    let patched = patch.apply(&Bytes::from_static(br#"{"system":"s","messages":[]}"#), Some(Dialect::Anthropic)).unwrap();
    assert_eq!(patched, r#"{"messages":[]}"#);
}

/// Objects with a few short names, nested a little.
fn objects() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..9_i32).prop_map(Value::from),
        ",|[a-d\"{}]{0,3}".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// The algorithm of RFC 7396, section 2, as it stands there.
fn model_of_merge(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let old = target.remove(name).unwrap_or_default();
            target.insert(name.clone(), model_of_merge(old, value));
        }
    }
    Value::Object(target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_quick_pass_puts_a_model_where_the_whole_one_does(body in documents(), dialect in prop::sample::select(&[None, Some(Dialect::Gemini)][..])) {
        let body = Bytes::from(body);
        let (alone, others) = (Patch::new().model("/a"), Patch::new().model("/a").parameters(r#"{"nowhere":null}"#).unwrap());
        prop_assert_eq!(alone.apply(&body, dialect), others.apply(&body, dialect));
    }

    #[test]
    fn the_quick_pass_finds_the_model_that_the_whole_one_finds(body in documents()) {
        if let Some(found) = edit::only_model(&body) {
            prop_assert_eq!(edit::models(str::from_utf8(&body).unwrap()), Some(found.into_iter().collect()));
        }
    }
}

proptest! {
    #[test]
    fn merging_agrees_with_the_standards_own_algorithm(target in objects(), patch in objects(), pretty: bool) {
        let body = if pretty { serde_json::to_string_pretty(&target) } else { serde_json::to_string(&target) }.unwrap();
        let merged: Value = serde_json::from_str(&merged(&body, &patch.to_string())).unwrap();
        prop_assert_eq!(merged, model_of_merge(target, &patch));
    }
}
