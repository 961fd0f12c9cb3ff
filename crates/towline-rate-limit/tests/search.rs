//! A limit that nobody knows is found.

mod common;

use std::{convert::Infallible, sync::Arc, time::Duration};

use common::tokens::*;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use towline_rate_limit::{Dimension as D, RateLimitLayer};

#[derive(Default)]
struct Counts {
    bucket: f64,
    at: Option<Instant>,
    served: u64,
    refused: u64,
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_known_is_found_from_below_and_kept_close_to() {
    let counts = Arc::new(Mutex::new(Counts::default()));
    let of = Arc::clone(&counts);
    // 600 a minute, ten at once.
    let provider = service_fn(move |_: Request<usize>| {
        let (now, mut counts) = (Instant::now(), of.lock());
        let came_in = counts.at.map_or(10.0, |at| (now - at).as_secs_f64() * 10.0);
        (counts.bucket, counts.at) = ((counts.bucket + came_in).min(10.0), Some(now));
        let mut response = Response::new(String::new());
        if counts.bucket < 1.0 {
            counts.refused += 1;
            *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
        } else {
            counts.bucket -= 1.0;
            counts.served += 1;
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let layer = RateLimitLayer::find_requests_per_minute(few(60)).max_wait(Duration::from_secs(3600));
    let service = layer.layer(provider);
    for _ in 0..50 {
        let service = service.clone();
        tokio::spawn(async move {
            loop {
                let _answer = service.clone().oneshot(Request::new(0)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let soon = layer.handle().limits(None).get(D::Requests).unwrap();
    assert!((80..=100).contains(&soon), "low at first: {soon}");
    tokio::time::sleep(Duration::from_secs(570)).await;
    {
        let mut counts = counts.lock();
        (counts.served, counts.refused) = (0, 0);
    }
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let found = layer.handle().limits(None).get(D::Requests).unwrap();
    let counts = counts.lock();
    assert!((400..=650).contains(&found), "{found}");
    assert!(counts.served >= 12_000 * 78 / 100, "{} of 12,000 were used, {} refused", counts.served, counts.refused);
    assert!(counts.refused * 200 < counts.served, "{} of {} refused", counts.refused, counts.served);
}
