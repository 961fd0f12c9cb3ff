//! Two keys, a provider that enforces the limits of each, and fifty calls at once: first as they come, then in line.
//!
//! The provider gives one key 600 requests a minute and the other 240,000 tokens a minute, and answers 429 to whoever wants more. Each line tells
//! who waited, how long, and for what. Nothing outside of this machine is asked.

use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{task::JoinSet, time::Instant};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use towline::{CallLayer, Dimension, Limits, Profile, RateLimitLayer};
use towline_testkit::{MockProvider, Reply};

/// A key, what its provider limits, how many a minute, and what each call costs of it.
const KEYS: [(&str, Dimension, u64, u64); 2] =
    [("key-of-chat", Dimension::Requests, 600, 1), ("key-of-reports", Dimension::Tokens, 240_000, ANSWER)];

const CALLS: usize = 50;
/// The tokens that each call asks for, and gets.
const ANSWER: u64 = 400;

/// One call as its caller saw it.
struct Told {
    key: &'static str,
    limited: Dimension,
    took: Duration,
    status: StatusCode,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();

    println!("# {CALLS} calls at once, without a limiter");
    let calls = burst(client.clone(), &strict_provider().await?).await?;
    println!("  {} of {CALLS} were answered 429\n", refused(&calls));

    println!("# {CALLS} calls at once, each in the line of its key");
    let limits = limits();
    let service = ServiceBuilder::new().layer(CallLayer::new()).layer(limits.clone()).service(client);
    let calls = burst(service, &strict_provider().await?).await?;
    for call in &calls {
        match call.took.as_secs_f64() {
            at_once if at_once < 0.05 => println!("  {:<14}  at once", call.key),
            waited => println!("  {:<14}  waited {waited:.1} s for {}", call.key, call.limited),
        }
    }
    println!("  {} of {CALLS} were answered 429", refused(&calls));
    for (key, limited, ..) in KEYS {
        println!("  {key}: {} {limited} left to pass at once", limits.handle().left(Some(key), limited).unwrap_or_default());
    }
    Ok(())
}

/// What each key is allowed. Half of what the provider lets pass at once is left to the network, which may bring calls together.
fn limits() -> RateLimitLayer {
    let [(chat, _, requests, _), (reports, _, tokens, _)] = KEYS;
    let requests = NonZeroU32::MIN.saturating_add(requests as u32 - 1);
    let tokens = NonZeroU64::MIN.saturating_add(tokens - 1);
    let key = |head: &Parts| Some(head.headers.get("x-api-key")?.to_str().ok()?.into());
    RateLimitLayer::new(Limits::none())
        .limits_for(chat, Limits::none().requests_per_minute(requests))
        .limits_for(reports, Limits::none().tokens_per_minute(tokens))
        // As this provider counts: what is asked for, when it is asked.
        .profile(Profile::Bedrock)
        .burst(NonZeroU32::MIN.saturating_add(4))
        .token_burst(NonZeroU64::MIN.saturating_add(5 * ANSWER - 1))
        .key(key)
}

/// Sends all calls at once, with one key and the other in turn, and tells of them in the order of their answers.
async fn burst<S, R>(service: S, provider: &MockProvider) -> Result<Vec<Told>, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<R>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (mut calls, began) = (JoinSet::new(), Instant::now());
    for (key, limited, ..) in KEYS.into_iter().cycle().take(CALLS) {
        let body = format!(r#"{{"model":"m","max_tokens":{ANSWER},"messages":[]}}"#);
        let request = Request::post(provider.url("/v1/messages")).header("x-api-key", key).body(Full::from(body))?;
        let service = service.clone();
        calls.spawn(async move {
            let response = service.oneshot(request).await.map_err(Into::into)?;
            let (took, status) = (began.elapsed(), response.status());
            // A call has ended when its body has been read.
            response.into_body().collect().await.map_err(Into::into)?;
            Ok::<_, BoxError>(Told { key, limited, took, status })
        });
    }
    let mut told = Vec::new();
    while let Some(call) = calls.join_next().await {
        told.push(call??);
    }
    Ok(told)
}

fn refused(calls: &[Told]) -> usize {
    calls.iter().filter(|call| call.status == StatusCode::TOO_MANY_REQUESTS).count()
}

/// A provider that means what it says: for each key a bucket that holds ten calls and fills all the time.
async fn strict_provider() -> Result<MockProvider, BoxError> {
    let provider = MockProvider::start().await?;
    let now = Instant::now();
    let full = KEYS.map(|(key, _, per_minute, cost)| (key, Bucket { per_minute, cost, calls: 10.0, at: now }));
    let buckets = Arc::new(parking_lot::Mutex::new(HashMap::from(full)));
    provider.respond_with(move |request| {
        let key = request.header("x-api-key").unwrap_or_default();
        match buckets.lock().get_mut(key).map(|bucket| bucket.take(Instant::now())) {
            Some(true) => Reply::ok().json(r#"{"type":"message"}"#),
            Some(false) => Reply::status(429).header("retry-after", "1"),
            None => Reply::status(401),
        }
    });
    Ok(provider)
}

struct Bucket {
    per_minute: u64,
    cost: u64,
    /// The calls that may pass now.
    calls: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let calls_a_second = self.per_minute as f64 / self.cost as f64 / 60.0;
        self.calls = (self.calls + (now - self.at).as_secs_f64() * calls_a_second).min(10.0);
        self.at = now;
        let passes = self.calls >= 1.0;
        self.calls -= f64::from(u8::from(passes));
        passes
    }
}
