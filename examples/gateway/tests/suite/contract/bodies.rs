//! Bodies that no model can be asked with: a clear 4xx in the caller's dialect, and no request to anybody.

use towline_testkit::{Answer, Dialect};

use crate::support::{Gateway, pair, path, question, started};

/// What is sent, the status that is right, and a word that tells what is wrong.
fn bodies() -> Vec<(String, u16, &'static str)> {
    let deep = |n: usize| format!(r#"{{"model":"chat","messages":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    vec![
        (String::new(), 400, "JSON"),
        ("not json".into(), 400, "JSON"),
        (r#"{"model":"chat","messages":["#.into(), 400, "JSON"),
        (r#"{"model":"chat"} and more"#.into(), 400, "JSON"),
        ("\u{feff}{\"model\":\"chat\"}".into(), 400, "JSON"),
        ("[]".into(), 400, "object"),
        (r#""chat""#.into(), 400, "object"),
        ("null".into(), 400, "object"),
        (deep(5000), 400, "deep"),
        ("{}".into(), 400, "model"),
        (r#"{"messages":[]}"#.into(), 400, "model"),
        (r#"{"model":null}"#.into(), 400, "model"),
        (r#"{"model":7}"#.into(), 400, "model"),
        (r#"{"model":""}"#.into(), 404, "model"),
        (r#"{"model":"nobody"}"#.into(), 404, "nobody"),
        (format!(r#"{{"model":"chat","messages":"{}"}}"#, "x".repeat(70_000)), 413, "65536"),
    ]
}

#[tokio::test]
async fn each_is_told_what_is_wrong_with_it_in_its_dialect() {
    for dialect in [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::OpenAiResponses] {
        let [a, b] = started().await;
        let gateway = Gateway::start(&format!("max_body = \"64KiB\"\n{}", pair(dialect, [&a, &b], "", ""))).await;
        for (body, status, word) in bodies() {
            let answer = gateway.post(path(dialect), &body).await;
            let shown: String = body.chars().take(40).collect();
            let told = answer.error(dialect).unwrap_or_else(|| panic!("{dialect:?} {shown}: {}", answer.text()));
            assert!(answer.status == status && told.contains(word), "{dialect:?} {shown}: {} {told}", answer.status);
            assert!(answer.header("x-request-id").is_some(), "{shown}");
        }
        assert_eq!((a.connections(), b.connections()), (0, 0));
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_json() {
    let [a, b] = started().await;
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    let request = gateway.request("/v1/chat/completions", &[], &b"{\"model\":\"chat\",\"x\":\"\xff\xfe\"}"[..]);
    let status = gateway.send(request).await.status().as_u16();
    assert!((400..500).contains(&status), "{status}");
    assert_eq!(a.hits(), 0);
}

#[tokio::test]
async fn a_body_of_the_very_size_that_is_allowed_passes() {
    let [a, b] = started().await;
    a.speak(Dialect::OpenAiChat, Answer::counting(1));
    let gateway = Gateway::start(&format!("max_body = \"4KiB\"\n{}", pair(Dialect::OpenAiChat, [&a, &b], "", ""))).await;
    let body = question(Dialect::OpenAiChat, false).to_string();
    let padded = |length: usize| body.clone() + &" ".repeat(length - body.len());
    assert_eq!(gateway.post("/v1/chat/completions", padded(4096)).await.status, 200);
    assert_eq!(gateway.post("/v1/chat/completions", padded(4097)).await.status, 413);
    assert_eq!(a.hits(), 1);
}
