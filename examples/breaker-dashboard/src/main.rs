//! A provider that flaps, a crowd that calls it all the time, and a line a second with what the circuit makes of it.
//!
//! The provider is well, then three answers in four fail, then it is down, then it is back. `--quick` tells the same story
//! ten times as fast.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::{interval, sleep};
use tower::{BoxError, Layer, Service, ServiceExt};
use towline_circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitState};
use towline_testkit::{MockProvider, Reply};

/// What the provider does, second by second.
const STORY: [(Health, u32); 4] = [(Health::Well, 2), (Health::Shaky, 6), (Health::Down, 4), (Health::Well, 12)];

const CALLERS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Health {
    Well,
    Shaky,
    Down,
}

/// What the callers heard since the last line.
#[derive(Default)]
struct Heard {
    answered: AtomicU32,
    failed: AtomicU32,
    refused: AtomicU32,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let second = Duration::from_millis(if env::args().any(|argument| argument == "--quick") { 100 } else { 1000 });
    let provider = MockProvider::start().await?;
    let breaker = CircuitBreakerLayer::new()
        // So that it opens by the ratio, which the story is about; a run of failures would be quicker.
        .without_consecutive_failures()?
        .failure_ratio(0.5, second * 10, 20)?
        .open_for(second * 2, second * 8)?
        .ramp(second * 4)?;
    let (heard, handle) = (Arc::new(Heard::default()), breaker.handle());

    let client = breaker.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    for _ in 0..CALLERS {
        tokio::spawn(call_on(client.clone(), provider.url("/v1/messages"), second / 20, Arc::clone(&heard)));
    }
    tokio::spawn(tell_transitions(handle.clone()));

    println!("second  provider  circuit               in window: failed / well   answered  failed  refused");
    let (mut line, mut tick) = (0, interval(second));
    tick.tick().await;
    for (health, seconds) in STORY {
        become_(&provider, health);
        for _ in 0..seconds {
            tick.tick().await;
            line += 1;
            println!("{line:>6}  {:<8}  {}", format!("{health:?}"), circuit(&handle, &heard));
        }
    }
    println!("the provider has seen {} requests", provider.hits());
    Ok(())
}

/// Has the provider answer as it now is.
fn become_(provider: &MockProvider, health: Health) {
    let asked = AtomicU32::new(0);
    provider.respond_with(move |_| {
        let well = match health {
            Health::Well => true,
            Health::Shaky => asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(4),
            Health::Down => false,
        };
        if well { Reply::status(200).text("hello") } else { Reply::status(503) }
    });
}

/// Calls again and again, a moment apart, as callers do who do not know what is going on.
async fn call_on<S, R>(mut client: S, url: String, pause: Duration, heard: Arc<Heard>)
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<R>>,
    R: BodyExt,
{
    loop {
        if let Ok(request) = Request::post(&url).body(Full::from("{}")) {
            let counter = match client.ready().await {
                Ok(ready) => match ready.call(request).await {
                    Ok(answer) => {
                        let status = answer.status();
                        // An answer counts when its body has been read.
                        let _ = answer.into_body().collect().await;
                        if status.is_success() { &heard.answered } else { &heard.failed }
                    }
                    Err(_) => &heard.refused,
                },
                Err(_) => &heard.refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        sleep(pause).await;
    }
}

async fn tell_transitions(handle: CircuitBreakerHandle) {
    let mut transitions = handle.transitions();
    while let Some(told) = transitions.next().await {
        println!("        -> {}", name(told.state));
    }
}

/// The line: what the circuit is, what it counts, and what the callers heard.
fn circuit(handle: &CircuitBreakerHandle, heard: &Heard) -> String {
    let since_last = |counter: &AtomicU32| counter.swap(0, Ordering::Relaxed);
    let Some(status) = handle.status(None) else { return String::new() };
    format!(
        "{:<20}  {:>17} / {:<7}  {:>8}  {:>6}  {:>7}",
        name(status.state),
        status.failures,
        status.successes,
        since_last(&heard.answered),
        since_last(&heard.failed),
        since_last(&heard.refused),
    )
}

fn name(state: CircuitState) -> String {
    match state {
        CircuitState::Open { retry_after } => format!("open for {:.1} s", retry_after.as_secs_f64()),
        CircuitState::HalfOpen => "half-open".to_owned(),
        CircuitState::Ramping { percent } => format!("ramping, {percent} %"),
        state => format!("{state:?}").to_lowercase(),
    }
}
