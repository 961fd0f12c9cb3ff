//! Ten minutes of full demand at providers that count in their own ways, with a use of tokens that nobody knows before.

mod common;

use std::{convert::Infallible, sync::Arc, time::Duration};

use common::tokens::*;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use towline_core::{Call, Jitter, StreamHandle, Usage};
use towline_rate_limit::{Limits, Profile, RateLimitLayer};

const LIMIT: u64 = 600_000;

struct Counts {
    left: f64,
    at: Instant,
    used: u64,
    served: u64,
    refused: u64,
}

#[tokio::test(start_paused = true)]
async fn where_the_limit_refills_continuously_hardly_any_is_refused_and_most_of_it_is_used() {
    ten_minutes(|left, now, at, _| (left + (now - at).as_secs_f64() * LIMIT as f64 / 60.0).min(LIMIT as f64)).await;
}

#[tokio::test(start_paused = true)]
async fn where_each_minute_begins_anew_hardly_any_is_refused_and_most_of_it_is_used() {
    const fn minute(time: Duration) -> u64 {
        time.as_secs() / 60
    }
    ten_minutes(|left, now, at, began| if minute(now - began) > minute(at - began) { LIMIT as f64 } else { left }).await;
}

/// `refill` tells what is left now of what was left then.
async fn ten_minutes(refill: fn(f64, Instant, Instant, Instant) -> f64) {
    let began = Instant::now();
    let counts = Arc::new(Mutex::new(Counts { left: LIMIT as f64, at: began, used: 0, served: 0, refused: 0 }));
    let (of, chance) = (Arc::clone(&counts), Jitter::seeded(9));
    let provider = service_fn(move |request: Request<usize>| {
        let estimated = Call::of(request.extensions()).map_or(0, |call| call.facts().input_tokens) as f64;
        // 0.2 to 5 times the estimate, as often above it as below.
        let exponent = 2.0 * chance.up_to(Duration::from_secs(1)).as_secs_f64() - 1.0;
        let (used, of) = ((estimated * 5_f64.powf(exponent)) as u64, Arc::clone(&of));
        let took = Duration::from_millis(500) + chance.up_to(Duration::from_secs(3));
        async move {
            let mut response = Response::new(Empty::<bytes::Bytes>::new().boxed());
            {
                let (now, mut counts) = (Instant::now(), of.lock());
                (counts.left, counts.at) = (refill(counts.left, now, counts.at, began), now);
                if counts.left < 0.0 {
                    counts.refused += 1;
                    *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
                    return Ok::<_, Infallible>(response);
                }
                counts.left -= used as f64;
                (counts.used, counts.served) = (counts.used + used, counts.served + 1);
            }
            tokio::time::sleep(took).await;
            let (handle, mut usage) = (StreamHandle::new(Instant::now()), Usage::default());
            (usage.input_tokens, usage.output_tokens) = (Some(used), Some(0));
            handle.record_usage(usage);
            response.extensions_mut().insert(handle);
            Ok(response)
        }
    });
    let layer = RateLimitLayer::new(Limits::none().input_tokens_per_minute(n(LIMIT))).profile(Profile::Anthropic);
    let service = layer.max_wait(Duration::from_secs(600)).layer(provider);
    for _ in 0..100 {
        let service = service.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(response) = service.clone().oneshot(asks(2000, 10)).await {
                    drop(response.into_body().collect().await);
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let counts = counts.lock();
    let share = counts.used as f64 / (LIMIT * 10) as f64;
    println!("{share:.3} of the limit used, {} served, {} refused", counts.served, counts.refused);
    assert!((0.85..=1.0).contains(&share), "{share}");
    assert!(counts.refused * 200 < counts.served, "{} of {}", counts.refused, counts.served);
}
