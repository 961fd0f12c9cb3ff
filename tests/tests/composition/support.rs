//! What every test of a pair needs: requests, short words for what comes back, and layers with small numbers.

use std::{num::NonZeroU32, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};
use towline::{
    Attempt, BoxError, Call, CallLayer, CircuitBreakerHandle, CircuitState, Error, FailureKind, FallbackLayer, Outcome,
    RateLimitLayer, RetryLayer, Target, TimeoutLayer,
};
use towline_tests::{Body, post};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A client of the pair under test: any service for requests with a body in memory.
pub trait Client<R>: Service<Request<Body>, Response = Response<R>, Error = Error> + Clone {}

impl<S, R> Client<R> for S where S: Service<Request<Body>, Response = Response<R>, Error = Error> + Clone {}

pub fn request() -> Request<Body> {
    post("http://host/v1/chat/completions")
}

pub fn streaming() -> Request<Body> {
    request().map(|_| Body::from(r#"{"model":"m","stream":true}"#))
}

/// Sends a request and waits for the head.
pub async fn head<R>(client: &impl Client<R>) -> Result<Response<R>, Error> {
    client.clone().oneshot(request()).await
}

/// Sends a request, reads the answer, and says what came: `200 {}`, `CircuitOpen`, `200 then StreamBroken`.
pub async fn ask<R>(client: &impl Client<R>) -> String
where
    R: http_body::Body,
    R::Error: Into<BoxError>,
{
    told(head(client).await).await
}

pub async fn told<R>(result: Result<Response<R>, Error>) -> String
where
    R: http_body::Body,
    R::Error: Into<BoxError>,
{
    match result {
        Err(error) => format!("{:?}", error.kind()),
        Ok(response) => {
            let status = response.status().as_u16();
            match response.into_body().collect().await {
                Ok(body) => format!("{status} {}", String::from_utf8_lossy(&body.to_bytes())),
                Err(error) => format!("{status} then {:?}", Error::from_body(error).kind()),
            }
        }
    }
}

/// What a response says became of it, by whatever is written on it.
pub fn outcome<R>(response: &Response<R>) -> Option<FailureKind> {
    Outcome::of_response(response).into_failure().map(|failure| failure.kind)
}

/// What `ClassifyLayer` wrote on a response, if anything.
pub fn written<R>(response: &Response<R>) -> Option<FailureKind> {
    response.extensions().get::<Outcome>().and_then(Outcome::failure).map(|failure| failure.kind)
}

/// The trail in short: `a overloaded, b ok`.
pub fn trail(call: &Call) -> String {
    let line = |attempt: Attempt| {
        let target = attempt.target.as_deref().unwrap_or("-").to_owned();
        format!("{target} {}", attempt.failure.map_or("ok", FailureKind::name))
    };
    call.trail().into_iter().map(line).collect::<Vec<_>>().join(", ")
}

pub fn is_open(circuits: &CircuitBreakerHandle, target: Option<&str>) -> bool {
    matches!(circuits.state(target), CircuitState::Open { .. })
}

/// One that must end within this time.
pub fn call_within(deadline: Duration) -> CallLayer {
    CallLayer::new().deadline(deadline).unwrap()
}

/// Three attempts, the same waits in each run.
pub fn retry() -> RetryLayer {
    RetryLayer::new().seed(7)
}

/// `burst` at once, then one a second.
pub fn limiter(burst: u32) -> RateLimitLayer {
    let (minute, burst) = (NonZeroU32::new(60).unwrap(), NonZeroU32::new(burst).unwrap());
    RateLimitLayer::requests_per_minute(minute).share(1.0).unwrap().burst(burst)
}

/// A limit on the head.
pub fn timeout(head: Duration) -> TimeoutLayer {
    TimeoutLayer::new().head(head).unwrap()
}

/// First `a`, then `b`.
pub fn fallback() -> FallbackLayer {
    let target = |name| Target::new(name, format!("http://{name}/v1")).unwrap();
    FallbackLayer::new([target("a"), target("b")]).unwrap()
}
