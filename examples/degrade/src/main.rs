//! What a caller gets when nobody can answer, decided beforehand: a good answer from before, a ticket of a queue, a word of our own.
//!
//! The one target answers once and is down from then on. Nothing outside of this machine is asked.

use std::{num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceExt;
use towline::{BoxError, Cache, DegradeLayer, Degraded, Failure, Handover, Queue, RetryLayer, Target, stack};
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = MockProvider::start().await?;
    provider.script([Reply::status(200).json(r#"{"content":[{"type":"text","text":"Because layers stack."}]}"#)]);
    provider.otherwise(Reply::status(503));

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let chain = stack(client).targets([Target::new("only", provider.url(""))?])?.retry(RetryLayer::new().attempts(1)?);

    let cache = Cache::new(NonZeroUsize::MIN.saturating_add(999), Duration::from_secs(30 * 60));
    let chat = DegradeLayer::new().cache(cache).answer("I cannot think at the moment. Please ask again in a minute.");
    let batch = DegradeLayer::new().queue(Tickets);
    let legal = DegradeLayer::new();

    for (what, layer, question) in [
        ("a question, while all is well", &chat, "Why layers?"),
        ("the same question, when all is down", &chat, "Why layers?"),
        ("another question", &chat, "Why not one big client?"),
        ("work that can wait", &batch, "Summarise this."),
        ("where a substitute is worse than none", &legal, "May we?"),
    ] {
        println!("# {what}");
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{question}"}}]}}"#);
        let request = Request::post("/v1/messages").body(Full::<Bytes>::from(body))?;
        let (head, body) = chain.clone().degrade(layer.clone()).build()?.oneshot(request).await?.into_parts();
        let how = Degraded::of(&head.extensions).map_or("no substitute", Degraded::name);
        let body = body.collect().await?.to_bytes();
        println!("  {} ({how}): {}\n", head.status, String::from_utf8_lossy(&body));
    }
    Ok(())
}

/// A queue that writes a ticket. Yours would write the request somewhere first.
struct Tickets;

impl Queue for Tickets {
    fn take_over(&self, request: Request<Bytes>, _: &Failure) -> Handover {
        Box::pin(async move {
            let ticket = format!(r#"{{"ticket":"{} bytes for {}"}}"#, request.body().len(), request.uri().path());
            Ok(Response::builder().status(202).header("content-type", "application/json").body(ticket.into())?)
        })
    }
}
