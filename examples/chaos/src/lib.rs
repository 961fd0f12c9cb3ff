//! The part of an application that asks a model, as it ships: a chain of two targets, and one function that asks it.
//!
//! It says nothing of chaos. Its [`chain`] takes a transport, and a test hands it one with a `ChaosLayer` above: see `tests/chaos.rs`, which is
//! what you would paste into your own CI.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};
use towline::{BoxError, CircuitBreakerLayer, Error, InvalidConfig, RetryLayer, StackService, Target, TimeoutLayer, stack};

/// An answer that has come whole.
#[derive(Debug)]
pub struct Answer {
    /// The name of the target that gave it.
    pub by: String,
    /// What it says, as it came.
    pub text: String,
}

/// The chain as it is in production.
///
/// # Errors
///
/// If two targets have the same name, or a setting could never act.
pub fn chain<S: Clone>(transport: S, targets: impl IntoIterator<Item = Target>) -> Result<StackService<S>, InvalidConfig> {
    stack(transport)
        .targets(targets)?
        .retry(RetryLayer::new().attempts(2)?)
        .circuit_breaker(CircuitBreakerLayer::new().open_for(Duration::from_secs(5), Duration::from_secs(20))?)
        .attempt_timeout(TimeoutLayer::attempt().head(Duration::from_secs(5))?.idle(Duration::from_secs(5))?)
        .build()
}

/// Asks for a stream, and reads it to its end.
///
/// # Errors
///
/// If nobody answered, or an answer broke off: what came of it until then is not handed out for a whole one.
pub async fn ask<S, R>(service: &S, question: &str) -> Result<Answer, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Error> + Clone,
    R: http_body::Body<Error: Into<BoxError>>,
{
    let body = format!(r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{question}"}}]}}"#);
    let request = Request::post("/chat/completions").header("content-type", "application/json").body(Full::from(body))?;
    let (head, body) = service.clone().oneshot(request).await?.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    if !head.status.is_success() {
        return Err(format!("nobody answered: {}", head.status).into());
    }
    let by = Target::of(&head.extensions).map_or("nobody", Target::name).to_owned();
    Ok(Answer { by, text: String::from_utf8_lossy(&body).into_owned() })
}
