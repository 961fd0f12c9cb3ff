//! Once over a real socket: an outage, and the way out of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState};
use towline_core::{BoxError, FailureKind, Jitter};
use towline_testkit::{HeldClock, MockProvider, Reply, Step};

use crate::support::{Log, SECOND};

#[tokio::test(start_paused = true)]
async fn an_outage_opens_the_circuit_and_a_recovery_closes_it() -> Result<(), BoxError> {
    let clock = HeldClock::hold();
    let provider = MockProvider::start().await?;
    let log = Arc::new(Log::default());
    let layer = CircuitBreakerLayer::new().jitter(Jitter::seeded(1)).observer(Arc::clone(&log));
    let service = layer.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let ask = || async {
        let response = service.clone().oneshot(Request::post(provider.url("/v1/messages")).body(Full::default())?).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok::<StatusCode, BoxError>(status)
    };
    let kind = |error: BoxError| towline_core::Error::from(error).kind();

    provider.script([
        Reply::status(503),
        Reply::reset(),
        Reply::ok().json("{\"answer\":42}").at(5, Step::Close),
        Reply::status(500),
        Reply::status(503).header("retry-after", "30"),
    ]);
    assert_eq!(ask().await?, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kind(ask().await.unwrap_err()), FailureKind::Transport);
    ask().await.unwrap_err();
    assert_eq!(ask().await?, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(layer.handle().state(None), CircuitState::Closed, "four failures, of four kinds");
    assert_eq!(ask().await?, StatusCode::SERVICE_UNAVAILABLE);

    let sent = provider.hits();
    for _ in 0..20 {
        assert_eq!(kind(ask().await.unwrap_err()), FailureKind::CircuitOpen);
        clock.advance(SECOND).await;
    }
    assert_eq!(provider.hits(), sent, "an open circuit sends nothing");

    clock.advance(SECOND * 10).await;
    for _ in 0..2 {
        assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
        assert_eq!(ask().await?, StatusCode::OK);
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
    assert_eq!(provider.hits(), sent + 2);
    let told = log.0.lock();
    assert_eq!((told.first().map(String::as_str), told.len()), (Some("opened -"), 23));
    assert_eq!(told.get(21..), Some(&["half-opened -".to_owned(), "closed -".to_owned()][..]));
    Ok(())
}
