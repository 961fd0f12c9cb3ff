//! A chain of targets, with a stream all the way: a primary with two keys, and a second provider with a model of its own.
//!
//! First the primary limits one key, and the other answers. Then it goes down, and the second provider answers. At last both are down, and the
//! caller gets the most useful failure, with the trail. Nothing outside of this machine is asked.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Service, ServiceExt};
use towline::{BoxError, Call, Credential, FallbackLayer, RetryLayer, Target, stack};
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (primary, second) = (MockProvider::start().await?, MockProvider::start().await?);
    second.otherwise(tokens(["Hello ", "from the ", "second."]));
    primary.respond_with(|request| match request.header("authorization") {
        Some("Bearer key-one") => Reply::status(429).header("retry-after", "30"),
        _ => tokens(["Hello ", "from the ", "primary."]),
    });

    let chain = FallbackLayer::new([
        Target::new("primary", primary.url("/v1"))?.with_keys([Credential::bearer("key-one")?, Credential::bearer("key-two")?]),
        Target::new("second", second.url("/v1"))?
            .with_model("another-model")
            .with_credential(Credential::header("x-api-key", "key-of-the-second")?),
    ])?
    .answer_headers(true)
    .on_auth_failure(|target, failure, _| println!("  page somebody: {}: {failure}", target.name()));

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    // Times are short, so that the program is.
    let retry = RetryLayer::new().attempts(2)?.throttle_backoff(Duration::from_millis(50), Duration::from_millis(100))?;
    let mut service = stack(client).fallback(chain).retry(retry).build()?;

    println!("# The primary limits the first key.");
    ask(&mut service).await?;
    println!("\n# The primary is down.");
    primary.respond_with(|_| Reply::status(503));
    ask(&mut service).await?;
    println!("\n# Both are down.");
    second.otherwise(Reply::status(500));
    ask(&mut service).await?;
    Ok(())
}

/// Asks for a stream, and prints it as it comes, then who answered and the trail.
async fn ask<S, R>(service: &mut S) -> Result<(), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<R>>,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let question = r#"{"model":"a-model","stream":true,"messages":[{"role":"user","content":"Say hello."}]}"#;
    let request = Request::post("/v1/chat/completions").body(Full::from(question))?;
    let response = service.ready().await.map_err(Into::into)?.call(request).await.map_err(Into::into)?;
    let (head, mut body) = response.into_parts();
    let told = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    print!("  {} by {} after {} attempts: ", head.status, told("x-towline-target"), told("x-towline-attempts"));
    while let Some(frame) = body.frame().await {
        // An error here is a stream that broke: an answer that was cut is never taken for a whole one.
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            print!("{}", text_of(&data));
        }
    }
    println!("\n  moved on because of: {}", told("x-towline-fallback"));
    for attempt in Call::of(&head.extensions).map(Call::trail).unwrap_or_default() {
        println!("  - {attempt}");
    }
    Ok(())
}

/// The text in an event, as far as this program's own providers send it.
fn text_of(event: &[u8]) -> String {
    let event = String::from_utf8_lossy(event);
    let text = event.split_once(r#""content":""#).and_then(|(_, rest)| rest.split_once('"'));
    text.map(|(text, _)| text.to_owned()).unwrap_or_default()
}

/// An answer of OpenAI's shape, piece by piece.
fn tokens<const N: usize>(pieces: [&str; N]) -> Reply {
    let chunk = |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned();
    Reply::sse(pieces.map(chunk).into_iter().chain([end, "[DONE]".to_owned()]))
}
