//! One breaker over several routes of an axum app: at the instant of half-open they are one circuit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use tokio::{sync::Barrier, task::JoinHandle};
use tower::{ServiceBuilder, ServiceExt};
use towline::{CircuitBreakerLayer, axum::EdgeLayer};
use towline_core::Jitter;

const ROUTES: [&str; 4] = ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models"];
const DOWN: u64 = 0;
const SILENT: u64 = 1;

/// An app whose handlers share one provider that is down or silent, and how many requests have come to it.
fn app(breaker: &CircuitBreakerLayer) -> (Router, Arc<AtomicU64>, Arc<AtomicUsize>) {
    let (health, came) = (Arc::new(AtomicU64::new(DOWN)), Arc::new(AtomicUsize::new(0)));
    let handler = || {
        let (health, came) = (Arc::clone(&health), Arc::clone(&came));
        post(move || {
            came.fetch_add(1, Ordering::SeqCst);
            let silent = health.load(Ordering::SeqCst) == SILENT;
            async move { if silent { std::future::pending().await } else { StatusCode::SERVICE_UNAVAILABLE } }
        })
    };
    // axum calls `layer` once for each route.
    let app = ROUTES.iter().fold(Router::new(), |app, path| app.route(path, handler()));
    let app = app.layer(ServiceBuilder::new().layer(EdgeLayer::new()).layer(breaker.clone()));
    (app, health, came)
}

/// The status, and whether it was we who refused: the handlers set no `retry-after`.
async fn said(app: Router, path: &str) -> (StatusCode, bool) {
    let response = app.oneshot(Request::post(path).body(Body::from("{}")).unwrap()).await.unwrap();
    (response.status(), response.headers().contains_key("retry-after"))
}

#[tokio::test(start_paused = true)]
async fn sixty_four_tasks_on_four_routes_are_as_many_probes_as_were_asked_for() {
    for probes in [1, 5] {
        let breaker = CircuitBreakerLayer::new().probes(probes).unwrap().jitter(Jitter::seeded(1));
        let (app, health, came) = app(&breaker);
        for nth in 0..5 {
            assert_eq!(said(app.clone(), ROUTES[nth % 4]).await, (StatusCode::SERVICE_UNAVAILABLE, false));
        }
        for path in ROUTES {
            assert_eq!(said(app.clone(), path).await, (StatusCode::SERVICE_UNAVAILABLE, true));
        }
        tokio::time::advance(Duration::from_secs(8)).await;
        health.store(SILENT, Ordering::SeqCst);
        let (before, barrier) = (came.load(Ordering::SeqCst), Arc::new(Barrier::new(64)));
        let ask = |nth: usize| {
            let (app, barrier) = (app.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                said(app, ROUTES[nth % 4]).await
            })
        };
        let tasks: Vec<JoinHandle<_>> = (0..64).map(ask).collect();
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(came.load(Ordering::SeqCst) - before, probes as usize);
        let (refused, waiting): (Vec<_>, Vec<_>) = tasks.into_iter().partition(JoinHandle::is_finished);
        assert_eq!((refused.len(), waiting.len()), (64 - probes as usize, probes as usize));
        for refused in refused {
            assert_eq!(refused.await.unwrap(), (StatusCode::SERVICE_UNAVAILABLE, true));
        }
        waiting.iter().for_each(JoinHandle::abort);
    }
}
