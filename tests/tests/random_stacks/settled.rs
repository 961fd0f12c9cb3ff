//! What is left when all have gone: nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};
use towline::{BoxError, CircuitState, Target};

use crate::{
    history::{DIMENSIONS, Guards},
    plan::Plan,
};

/// Nobody stands in line and no place is held; each circuit closes with the first good probes, and what was reserved comes back.
pub async fn as_new(plan: &Plan, guards: &Guards) {
    let (limits, circuits) = (guards.limiter.handle(), guards.breaker.handle());
    let names: Vec<_> = (0..plan.places.len()).map(|place| place.to_string()).collect();
    for name in &names {
        let name = Some(&**name);
        assert_eq!((limits.waiting(name), limits.under_way(name)), (0, 0), "in line, under way at {name:?}");
        assert_eq!(limits.left(name, DIMENSIONS[2]), limits.left(Some("unheard of"), DIMENSIONS[2]));
    }
    for name in &names {
        // A probe that had not been settled would keep the next one out for a minute.
        if let CircuitState::Open { retry_after } = circuits.state(Some(name)) {
            advance(retry_after).await;
        }
        for probe in 1..=2 {
            let answer = guards.breaker.layer(service_fn(well)).oneshot(request(name)).await;
            assert!(answer.is_ok(), "probe {probe} at {name}: {:?}", circuits.state(Some(name)));
        }
        assert_eq!(circuits.state(Some(name)), CircuitState::Closed);
    }
    // Long enough for every bucket to fill, and for a pace that a 429 had slowed to be the old one.
    advance(Duration::from_secs(300)).await;
    for name in &names {
        for dimension in DIMENSIONS {
            assert_eq!(limits.left(Some(name), dimension), limits.left(Some("unheard of"), dimension), "{dimension:?} at {name}");
        }
    }
}

fn request(name: &str) -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/messages").body(Full::default()).unwrap();
    request.extensions_mut().insert(Target::new(name, "http://t").unwrap());
    request
}

async fn well(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
    Ok(Response::default())
}
