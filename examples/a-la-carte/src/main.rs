//! One layer and nothing else: a circuit breaker around a hyper-util client.
//!
//! The provider is down. After three failures the circuit opens and nothing more is sent; once it has recovered, one probe finds that out.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{BoxError, Layer, Service, ServiceExt};
use towline_circuit_breaker::CircuitBreakerLayer;
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = MockProvider::start().await?;
    provider.otherwise(Reply::status(503));

    let breaker = CircuitBreakerLayer::new()
        .consecutive_failures(3)?
        .open_for(Duration::from_millis(400), Duration::from_secs(1))?
        .success_threshold(1)?;
    let handle = breaker.handle();
    let mut client = breaker.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

    for nth in 1..=8 {
        if nth == 7 {
            println!("        the provider is back; the circuit will let a probe through in a moment");
            provider.otherwise(Reply::status(200).text("hello"));
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let request = Request::post(provider.url("/v1/messages")).body(Full::from("{}"))?;
        let answer = match client.ready().await?.call(request).await {
            // A call is over when its body is: a probe whose answer nobody reads proves nothing.
            Ok(response) => format!("{} {:?}", response.status(), response.into_body().collect().await?.to_bytes()),
            Err(error) => error.to_string(),
        };
        println!("call {nth}: {answer}  [circuit: {:?}; the provider has seen {} requests]", handle.state(None), provider.hits());
    }
    Ok(())
}
