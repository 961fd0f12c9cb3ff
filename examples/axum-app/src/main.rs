//! An axum app whose two routes share one stack: one circuit, one limiter, one retry budget, whichever way a call comes in.
//!
//! It serves a call a route, prints what its callers get, and ends. With `--serve` it stays and prints its address.

use std::time::Duration;

use axum::{Router, body::Body, routing::post_service};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_layer::Layer;
use towline::{BoxError, CircuitBreakerLayer, RetryLayer, Target, axum::EdgeLayer};
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = MockProvider::start().await?;
    provider.otherwise(Reply::status(503).json(r#"{"type":"error","error":{"type":"overloaded_error","message":"try later"}}"#));

    // Two failures in a row are enough, so that the second route is seen to be refused for what happened on the first.
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let stack = towline::stack(client)
        .targets([Target::new("provider", provider.url(""))?])?
        .retry(RetryLayer::new().attempts(2)?.throttle_backoff(Duration::from_millis(10), Duration::from_millis(20))?)
        .circuit_breaker(
            CircuitBreakerLayer::new().consecutive_failures(2)?.open_for(Duration::from_secs(20), Duration::from_secs(60))?,
        )
        .build()?;
    let edge = EdgeLayer::new().layer(stack);
    let app = Router::new().route("/v1/messages", post_service(edge.clone())).route("/v1/chat/completions", post_service(edge));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    if std::env::args().any(|arg| arg == "--serve") {
        return Ok(server.await??);
    }

    let caller = Client::builder(TokioExecutor::new()).build_http::<Body>();
    for path in ["/v1/messages", "/v1/chat/completions"] {
        let request = Request::post(format!("http://{address}{path}")).body(Body::from(r#"{"model":"m"}"#))?;
        let response = caller.clone().oneshot(request).await?;
        let (status, retry_after) = (response.status(), response.headers().get("retry-after").cloned());
        let body = response.into_body().collect().await?.to_bytes();
        println!("POST {path}: {status}, retry-after {retry_after:?}, the provider has seen {} requests", provider.hits());
        println!("  {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
