//! Tokens as they come, from a stream whose first attempt begins with an error.
//!
//! The provider answers 200 both times. The first event of the first answer says that it is overloaded: nothing of it reaches the caller, since a
//! stream is held until its first content, and the call is tried again. The second answer is handed on event by event.

use std::{io::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tower::ServiceExt;
use towline::{BoxError, Event, Observe, RetryLayer};
use towline_testkit::{MockProvider, Reply};
use towline_wire::sse::{Decoder, Frame};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = MockProvider::start().await?;
    let overloaded = r#"{"error":{"message":"The server is overloaded, try again later","type":"server_error","code":"server_is_overloaded"}}"#;
    provider.script([Reply::sse([overloaded]), tokens()]);

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let retry = RetryLayer::new().throttle_backoff(Duration::from_millis(50), Duration::from_millis(100))?;
    let service = towline::stack(client).retry(retry).observer(Arc::new(Narrator)).build()?;

    let question = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Why layers?"}]}"#;
    let request = Request::post(provider.url("/v1/chat/completions")).body(Full::<Bytes>::from(question))?;
    let mut body = service.oneshot(request).await?.into_body();

    let mut events = Decoder::new();
    while let Some(frame) = body.frame().await {
        // An error here is a stream that broke: an answer that was cut is never taken for a whole one.
        let Ok(data) = frame?.into_data() else { continue };
        events.push(data);
        while let Some(frame) = events.next_frame()? {
            if let Frame::Event(event) = frame {
                print(&event.data)?;
            }
        }
    }
    println!("\n[the provider was asked {} times]", provider.hits());
    Ok(())
}

/// Prints the text of one event, if it bears any.
fn print(data: &[u8]) -> Result<(), BoxError> {
    if data == b"[DONE]" {
        return Ok(());
    }
    let chunk: Value = serde_json::from_slice(data)?;
    print!("{}", chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    std::io::stdout().flush()?;
    Ok(())
}

/// An answer of OpenAI's shape, a word at a time.
fn tokens() -> Reply {
    let chunk = |delta: &str, end: &str| {
        format!(
            r#"{{"id":"c","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":{end}}}]}}"#
        )
    };
    let mut reply = Reply::stream().event(chunk(r#"{"role":"assistant","content":""}"#, "null"));
    for word in ["Because ", "each ", "one ", "can ", "be ", "understood ", "alone."] {
        reply = reply.event(chunk(&format!(r#"{{"content":"{word}"}}"#), "null")).wait(Duration::from_millis(60));
    }
    reply.event(chunk("{}", r#""stop""#)).event("[DONE]")
}

/// Prints why there is a second attempt.
struct Narrator;

impl Observe for Narrator {
    fn observe(&self, event: &Event<'_>) {
        if let Event::RetryScheduled { attempt, wait, failure, .. } = event {
            println!("[{failure}; attempt {attempt} in {} ms]", wait.as_millis());
        }
    }
}
