//! Parameters and prompts of a target's own.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Layer, ServiceExt};
use towline_core::{BoxError, Dialect, InvalidConfig, Price, Target};
use towline_fallback::FallbackLayer;

fn target(name: &str) -> Target {
    Target::new(name, format!("http://{name}")).unwrap()
}

/// Sends a body to targets that all fail; returns what each of them received, in order.
async fn received(targets: impl IntoIterator<Item = Target>, path: &str, body: &'static str) -> Vec<String> {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&bodies);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let log = Arc::clone(&log);
        async move {
            let length = request.headers().get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert!(length.is_none_or(|length: usize| length == body.len()), "else the client counts anew");
            log.lock().push(String::from_utf8(body.to_vec()).unwrap());
            Ok::<_, BoxError>(Response::builder().status(503).body(()).unwrap())
        }
    });
    let request = Request::post(path).header("content-length", body.len()).body(Full::from(body)).unwrap();
    FallbackLayer::new(targets).unwrap().layer(inner).oneshot(request).await.unwrap();
    let bodies = bodies.lock();
    bodies.clone()
}

#[tokio::test]
async fn each_target_gets_its_own_variant_of_the_original_and_nothing_of_anothers() {
    let targets = [
        target("a").with_model("one").with_parameters(r#"{"temperature":0.0,"only_a":true,"reasoning":{"effort":"low"}}"#),
        target("b").with_system_prompt("For b."),
        target("c").with_parameters(r#"{"seed":null}"#).with_model("three"),
        target("d").with_parameters("{ }").with_model("m"),
    ];
    let body = r#"{"model":"m", "seed":1.0, "reasoning":{"summary":"auto"}, "messages":[{"role":"system","content":"s"}]}"#;
    let prompt = r#"[{"role":"system","content":"For b."}]"#;
    let mut sent = received(targets, "/v1/chat/completions", body).await;
    assert_eq!(sent.remove(3), body, "what changes nothing");
    assert_eq!(
        sent,
        [
            body.replace("\"m\"", "\"one\"")
                .replace(r#"{"model"#, r#"{"temperature":0.0,"only_a":true,"model"#)
                .replace(r#"{"summary"#, r#"{"effort":"low","summary"#),
            body.replace(r#"[{"role":"system","content":"s"}]"#, prompt),
            body.replace("\"m\"", "\"three\"").replace(r#" "seed":1.0,"#, ""),
        ]
    );
}

#[tokio::test]
async fn the_prompt_is_said_as_the_path_tells_or_else_the_target() {
    let body = r#"{"messages":[]}"#;
    let told = || target("a").with_system_prompt("s").with_dialect(Dialect::Bedrock);
    assert_eq!(received([told()], "/v1/messages", body).await, [r#"{"system":"s","messages":[]}"#]);
    assert_eq!(received([told()], "/proxy", body).await, [r#"{"system":[{"text":"s"}],"messages":[]}"#]);
}

#[test]
fn parameters_that_could_not_be_sent_are_refused_with_their_target() {
    for json in ["", "[1]", "{", r#"{"model":"m"}"#, r#"{"stream":null}"#] {
        let error = FallbackLayer::new([target("fine"), target("wrong").with_parameters(json)]).unwrap_err();
        assert_eq!(error.field(), "parameters", "{json}");
        assert!(error.to_string().contains("\"wrong\""), "{error}");
    }
    let wrong = || [target("wrong").with_parameters("s3cret")];
    let error = FallbackLayer::new([target("fine")]).unwrap().context_window_targets(wrong()).unwrap_err();
    assert!(!error.to_string().contains("s3cret") && error.field() == "parameters");
}

#[tokio::test]
async fn targets_that_are_ordered_by_price_keep_what_is_their_own() -> Result<(), InvalidConfig> {
    let priced = |name, price| Ok(target(name).with_model(name).with_price(Price::per_million(price, price)?));
    let layer = FallbackLayer::new([priced("dear", 2.0)?, priced("cheap", 1.0)?])?;
    let layer = layer.context_window_targets([target("large")])?.cheapest_first()?;
    assert_eq!(layer.targets().iter().map(Target::name).collect::<Vec<_>>(), ["cheap", "dear", "large"]);
    let inner =
        tower::service_fn(|request: Request<Full<Bytes>>| async move { Ok::<_, BoxError>(Response::new(request.into_body())) });
    let answer = layer.layer(inner).oneshot(Request::post("/v1/messages").body(Full::from("{}")).unwrap()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"model":"cheap"}"#);
    assert_eq!(FallbackLayer::new([target("free")])?.cheapest_first().unwrap_err().field(), "cheapest_first");
    Ok(())
}
