use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use super::*;

/// How many bytes the texts of a document have together; `None` where the pass gives up.
fn scanned(document: &str) -> Option<usize> {
    let mut length = 0;
    Scan::object(document.as_bytes(), |scan, name| scan.value(name, &mut |_, text| length += text.length))?;
    Some(length)
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(length).sum(),
        Value::Object(members) => members.values().map(length).sum(),
        _ => 0,
    }
}

#[test]
fn what_is_usual_is_read() {
    for (document, length) in [
        ("{}", 0),
        (" { } ", 0),
        (r#"{"a":"b"}"#, 1),
        (r#"{"a":[ ], "b" : [{"c": "de"} , "f",true,false,null], "g": {"": ""}}"#, 3),
        (r#"{"a":0,"b":-0,"c":-12.50,"d":123456789012345678}"#, 0),
        (r#"{"a":"\"\\\/\b\f\n\r\t"}"#, 8),
        (r#"{"a":"\u00e9\u20AC\ud83d\uDE00\u003c"}"#, 2 + 3 + 4 + 1),
        ("{\"a\":\"\u{e9}\u{20ac}\u{1f600}\"}", 2 + 3 + 4),
        (r#"{"a name of more than sixteen bytes":"a text of more than sixteen bytes, and \"so\" on"}"#, 46),
    ] {
        assert_eq!(scanned(document), Some(length), "{document}");
    }
}

#[test]
fn what_is_unusual_or_wrong_is_left_to_others() {
    for document in [
        "",
        "[]",
        "\"a\"",
        "{",
        "{\"a\":1",
        "{\"a\":1}}",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\" 1}",
        "{,}",
        "{a:1}",
        "{\"a\":tru}",
        "{\"a\":nulls}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+5}",
        "{\"a\":1e5}",
        "{\"a\":1234567890123456789}",
        "{\"a\":\"b}",
        "{\"a\":\"\\",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u+123\"}",
        "{\"a\":\"\\ud83d\"}",
        "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\\ude00\"}",
        "{\"a\":\"\\u0064ata:\"}",
        "{\"a\\n\":1}",
        "{\"a\":\n1}",
        "{\"a\":\"\u{1}\"}",
        "\u{feff}{}",
    ] {
        assert_eq!(scanned(document), None, "{document}");
    }
    assert!(Scan::object(b"{\"a\":\"\xff\"}", |scan, _| scan.pass()).is_none(), "no UTF-8");
    let nested = |deep: usize| format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep));
    assert!(scanned(&nested(60)).is_some() && scanned(&nested(100)).is_none() && scanned(&nested(100_000)).is_none());
}

/// Values as they may be written, nested a little, with what is unusual among them. Names are short, so that some stand there twice.
fn values() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        24 => select(
            &["a", "data:", "\\\"", "\\\\", "\\n", "\\/", "\\u00e9", "\\u002f", "\\ud83d\\ude00", "\u{e9}", "\u{1f600}", " more than eight bytes ", "{[:,"][..]
        ),
        1 => select(&["\\u0061", "\\ud83d", "\\ude00", "\\x", "\u{1}"][..]),
    ];
    let text = vec(pieces, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let other = prop_oneof![
        24 => select(&["0", "-0", "7", "-3", "1.5", "123456789012345678", "true", "false", "null", "{}", "[]", "{ }"][..]),
        1 => select(&["00", "1.", "1e3", "1E400", "1234567890123456789", "18446744073709551616", "nul", "[,]"][..]),
    ];
    let leaf = prop_oneof![text, other.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let member = (names(), select(&[":", ":", ": ", " :", ":\n"][..]), inner.clone())
            .prop_map(|(name, colon, value)| format!("\"{name}\"{colon}{value}"));
        prop_oneof![
            (vec(inner, 0..4), select(&[",", ", ", " ,"][..])).prop_map(|(values, comma)| format!("[{}]", values.join(comma))),
            (vec(member, 0..4), select(&[",", ",", ", ", ",\r\n"][..]))
                .prop_map(|(members, comma)| format!("{{{}}}", members.join(comma))),
        ]
    })
}

fn names() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "model",
            "stream",
            "max_tokens",
            "n",
            "best_of",
            "generationConfig",
            "inferenceConfig",
            "maxOutputTokens",
            "candidateCount",
            "data",
            "messages",
            "a name of more than sixteen bytes",
            "\u{e9}",
            "",
        ][..],
    )
}

/// Documents that are nearly right, or right.
pub(crate) fn documents() -> impl Strategy<Value = Vec<u8>> {
    let members = vec((prop_oneof![24 => names(), 1 => Just("\\u006dodel")], values()), 0..5);
    let document = members.prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    (document, any::<prop::sample::Index>(), prop_oneof![3 => Just(None), 1 => select(&b"\"\\{}[]:,0 \n\xff"[..]).prop_map(Some)])
        .prop_map(|(document, at, byte)| {
            let mut document = document.into_bytes();
            if let Some(byte) = byte {
                let at = at.index(document.len());
                document[at] = byte;
            }
            document
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_read_to_its_end_is_an_object(document in documents()) {
        if Scan::object(&document, |scan, _| scan.pass()).is_some() {
            prop_assert!(serde_json::from_slice::<serde_json::Map<String, Value>>(&document).is_ok());
        }
    }

    #[test]
    fn what_is_written_the_usual_way_is_read(text in any::<String>(), names in prop::collection::btree_set("[a-z_]{0,20}", 0..5), number: i32, flag: bool) {
        let value = Value::from(vec![Value::from(text.replace(|c: char| c.is_control() && c != '\n', "")), number.into(), flag.into()]);
        let object = Value::Object(names.into_iter().map(|name| (name, value.clone())).collect());
        prop_assert_eq!(scanned(&object.to_string()), Some(length(&object)));
    }
}
