//! A layer that is applied to several routes of an axum app has one state for all of them.

use std::num::NonZeroU32;

use axum::{
    Router,
    body::Body,
    routing::{post, post_service},
};
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tower::{Layer, ServiceBuilder, ServiceExt};
use towline::{CallLayer, CircuitBreakerLayer, RateLimitLayer, RetryBudget, RetryLayer, Target, axum::EdgeLayer};
use towline_testkit::{MockProvider, Reply};

use crate::support::*;

const ROUTES: [&str; 2] = ["/v1/messages", "/v1/chat/completions"];

fn ask_for(path: impl AsRef<str>) -> Request<Body> {
    Request::post(path.as_ref()).body(Body::from(r#"{"model":"m"}"#)).unwrap()
}

/// The status, and whether it was we who refused: the handlers set no `retry-after`.
async fn said(app: &Router, path: &str) -> (u16, bool) {
    let response = app.clone().oneshot(ask_for(path)).await.unwrap();
    (response.status().as_u16(), response.headers().contains_key("retry-after"))
}

#[tokio::test(start_paused = true)]
async fn a_layer_over_a_router_has_one_circuit_for_all_routes() {
    let breaker = CircuitBreakerLayer::new().consecutive_failures(4).unwrap();
    let down = || post(async || StatusCode::SERVICE_UNAVAILABLE);
    // axum calls `layer` once for each route.
    let app = ROUTES.iter().fold(Router::new(), |app, path| app.route(path, down()));
    let app = app.layer(ServiceBuilder::new().layer(EdgeLayer::new()).layer(breaker.clone()));
    for path in [ROUTES[0], ROUTES[1], ROUTES[0], ROUTES[1]] {
        assert_eq!(said(&app, path).await, (503, false));
    }
    assert!(is_open(&breaker.handle(), None));
    for path in ROUTES {
        assert_eq!(said(&app, path).await, (503, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_over_a_router_has_one_limit_and_one_budget_for_all_routes() {
    let (limiter, budget) = (limiter(4).max_wait(ms(0)), RetryBudget::new(0.1, 20, 2).unwrap());
    let retry = RetryLayer::new().attempts(2).unwrap().throttle_backoff(ms(1), ms(1)).unwrap().budget(budget.clone());
    let down = || post(async || StatusCode::SERVICE_UNAVAILABLE);
    let app = ROUTES.iter().fold(Router::new(), |app, path| app.route(path, down()));
    let layers = ServiceBuilder::new().layer(EdgeLayer::new()).layer(CallLayer::new()).layer(retry).layer(limiter.clone());
    let app = app.layer(layers);
    // Two attempts each: the budget is spent and the burst gone.
    assert_eq!(said(&app, ROUTES[0]).await, (503, false));
    assert_eq!((budget.tokens(), limiter.handle().available(None)), (1.0, 2));
    assert_eq!(said(&app, ROUTES[1]).await, (503, false));
    for path in ROUTES {
        assert_eq!((said(&app, path).await, limiter.handle().available(None)), ((429, true), 0));
    }
    assert_eq!(budget.tokens(), 0.0);
}

/// An app whose routes call the provider through layers, served on a real socket; the base of its URIs.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    base
}

#[tokio::test]
async fn over_sockets_the_failures_of_one_route_open_the_circuit_for_the_other() {
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::status(503).json("{}"));
    let breaker = CircuitBreakerLayer::new().consecutive_failures(2).unwrap();
    let limiter = RateLimitLayer::requests_per_minute(NonZeroU32::new(60_000).unwrap());
    let retry = RetryLayer::new().attempts(1).unwrap();
    // Once as one stack that both routes share, once as a stack for each route, made of the same layers.
    let stack = || {
        towline::stack(towline_tests::hyper())
            .targets([Target::new("provider", provider.url("")).unwrap()])
            .unwrap()
            .retry(retry.clone())
            .circuit_breaker(breaker.clone())
            .rate_limit(limiter.clone())
            .build()
            .unwrap()
    };
    let one = EdgeLayer::new().layer(stack());
    let shared = Router::new().route(ROUTES[0], post_service(one.clone())).route(ROUTES[1], post_service(one));
    let each = ROUTES.iter().fold(Router::new(), |app, path| app.route(path, post_service(EdgeLayer::new().layer(stack()))));
    let (shared, each) = (serve(shared).await, serve(each).await);

    let client = towline_tests::hyper();
    let ask = |base: &str, path: &str| client.clone().oneshot(towline_tests::post(format!("{base}{path}")));
    let failed = [ask(&shared, ROUTES[0]).await.unwrap(), ask(&each, ROUTES[1]).await.unwrap()];
    assert!(failed.iter().all(|response| !response.headers().contains_key("retry-after")), "the provider's own 503");
    assert!(is_open(&breaker.handle(), Some("provider")));
    for (base, path) in [(&shared, ROUTES[0]), (&shared, ROUTES[1]), (&each, ROUTES[0]), (&each, ROUTES[1])] {
        let refused = ask(base, path).await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true), "{base}{path}");
    }
    assert_eq!(provider.hits(), 2);
    assert_eq!(limiter.handle().waiting(Some("provider")), 0);
}
