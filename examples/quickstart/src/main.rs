//! All of towline in one program: a hyper-util client, two providers over real HTTP on loopback, every layer between them.
//!
//! The primary answers 429, then 503, resets a connection, goes silent, goes down and comes back. Each line shows what a layer decided; each call
//! ends with who answered. Nothing outside of this machine is asked.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceExt;
use towline::{
    BoxError, Call, CircuitBreakerLayer, Credential, Error, Event, Observe, RateLimitLayer, RetryLayer, Target, TimeoutLayer,
    stack,
};
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (primary, second) = (MockProvider::start().await?, MockProvider::start().await?);
    primary.otherwise(Reply::status(200).json(r#"{"text":"hello from the primary"}"#));
    second.otherwise(Reply::status(200).json(r#"{"text":"hello from the second"}"#));

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = stack(client)
        .targets([
            Target::new("primary", primary.url(""))?.with_credential(Credential::header("x-api-key", "key-of-the-primary")?),
            Target::new("second", second.url(""))?
                .with_model("a-smaller-model")
                .with_credential(Credential::bearer("key-of-the-second")?),
        ])?
        // Times are short, so that the program is.
        .retry(RetryLayer::new().throttle_backoff(Duration::from_millis(200), Duration::from_secs(1))?)
        .circuit_breaker(
            CircuitBreakerLayer::new().open_for(Duration::from_millis(800), Duration::from_secs(2))?.success_threshold(1)?,
        )
        .rate_limit(RateLimitLayer::requests_per_minute(RATE).burst(BURST))
        .attempt_timeout(TimeoutLayer::attempt().head(Duration::from_millis(500))?)
        .observer(Arc::new(Narrator))
        .build()?;

    println!("\n# The primary limits the rate, then is overloaded, then answers.");
    primary.script([Reply::status(429).header("retry-after", "0.4"), Reply::status(503)]);
    show(service.clone().oneshot(question()?).await).await;

    println!("\n# The primary resets the connection.");
    primary.script([Reply::reset()]);
    show(service.clone().oneshot(question()?).await).await;

    println!("\n# The primary accepts the request and says nothing. It is not asked twice.");
    primary.script([Reply::silence()]);
    show(service.clone().oneshot(question()?).await).await;

    println!("\n# The primary is down. After five failures in a row its circuit opens, and it is left alone.");
    primary.otherwise(Reply::status(503));
    for _ in 0..3 {
        show(service.clone().oneshot(question()?).await).await;
    }

    println!("\n# The primary is back. When the open time is over, one probe finds that out.");
    primary.otherwise(Reply::status(200).json(r#"{"text":"hello again from the primary"}"#));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    show(service.clone().oneshot(question()?).await).await;

    let leaked = primary
        .requests()
        .iter()
        .chain(&second.requests())
        .filter(|request| request.header("authorization") == Some("Bearer my-own"))
        .count();
    println!(
        "\nprimary saw {} requests, second {}; {leaked} of them carried the caller's own key.",
        primary.hits(),
        second.hits()
    );
    Ok(())
}

/// Requests a minute for each target, and how many may go at once.
const RATE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(599);
const BURST: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(19);

/// What a caller asks, with a key of its own that must reach nobody.
fn question() -> Result<Request<Full<Bytes>>, BoxError> {
    let body = r#"{"model":"a-large-model","messages":[{"role":"user","content":"Say hello."}]}"#;
    Ok(Request::post("/v1/messages").header("authorization", "Bearer my-own").body(Full::from(body))?)
}

async fn show<R>(answer: Result<Response<R>, Error>)
where
    R: http_body::Body<Error = Error>,
{
    let response = match answer {
        Ok(response) => response,
        Err(error) => return println!("  => {error}"),
    };
    let (head, body) = response.into_parts();
    let who = Target::of(&head.extensions).map_or("nobody", Target::name);
    let attempts = Call::of(&head.extensions).map_or(0, Call::attempts);
    match body.collect().await {
        Ok(body) => {
            println!("  => {} by {who} after {attempts} attempts: {}", head.status, String::from_utf8_lossy(&body.to_bytes()))
        }
        Err(error) => println!("  => {} by {who}, then: {error}", head.status),
    }
}

/// Prints what each layer decides. Programs would rather use `towline::TracingObserver`, or count.
struct Narrator;

impl Observe for Narrator {
    fn observe(&self, event: &Event<'_>) {
        let name = |target: &Option<&Target>| target.map_or("-", Target::name).to_owned();
        match event {
            Event::AttemptFailed { target, attempt, failure } => {
                println!("  {}: attempt {attempt} failed: {failure}", name(target))
            }
            Event::RetryScheduled { target, attempt, wait, .. } => {
                println!("  {}: attempt {attempt} in {} ms", name(target), wait.as_millis())
            }
            Event::RetryStopped { target, reason, .. } => println!("  {}: no further attempt ({reason:?})", name(target)),
            Event::CircuitOpened { target, retry_after } => {
                println!("  {}: the circuit opens for {} ms", name(target), retry_after.as_millis())
            }
            Event::CircuitRejected { target, .. } => println!("  {}: the circuit is open, nothing is sent", name(target)),
            Event::CircuitHalfOpened { target } => println!("  {}: the circuit lets a probe through", name(target)),
            Event::CircuitClosed { target } => println!("  {}: the circuit closes", name(target)),
            Event::TimedOut { target, phase, limit } => {
                println!("  {}: timed out after {} ms ({})", name(target), limit.as_millis(), phase.name())
            }
            Event::FallbackMoved { from, to, .. } => println!("  {} -> {}", from.name(), to.name()),
            Event::FallbackExhausted { tried, failure } => println!("  none of {tried} targets answered: {failure}"),
            Event::AttemptSucceeded { .. } | Event::StreamEnded { .. } => {}
            other => println!("  {other:?}"),
        }
    }
}
