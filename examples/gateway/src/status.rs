//! What the gateway tells of itself: `/status` for people and scripts, `/metrics` for Prometheus.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use http::HeaderValue;
use serde_json::{Value, json};
use towline::{Call, CircuitBreakerHandle, CircuitState, Dimension, KeyState, RateLimitHandle, Target};

use crate::app::Gateway;

pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>) -> String {
    gateway.prometheus.render()
}

pub(crate) async fn status(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let Gateway { models, providers, shared, recent, .. } = &*gateway;
    // Several models may have a target in common.
    let targets: BTreeMap<&str, &Target> = models.values().flat_map(|model| &model.targets).map(|to| (to.name(), to)).collect();
    let (circuits, limits) = (shared.circuit_breaker.handle(), shared.rate_limit.handle());
    let keys = |target: &Target| shared.authorize.keys(target).into_iter().map(key).collect::<Vec<_>>();
    let rotating = targets.iter().filter(|(_, target)| target.keys().len() > 1);
    let recent: Vec<_> = recent.lock().iter().cloned().collect();
    let call = |(id, call): &(HeaderValue, Call)| {
        let attempts: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
        json!({ "id": id.to_str().unwrap_or("-"), "model": call.facts().model.as_deref(), "attempts": attempts })
    };
    Json(json!({
        "circuits": targets.keys().map(|name| (*name, circuit(&circuits, name))).collect::<BTreeMap<_, _>>(),
        "limits": providers.iter().map(|name| (&**name, limit(&limits, name))).collect::<BTreeMap<_, _>>(),
        "queues": providers.iter().map(|name| (&**name, limits.waiting(Some(name)))).collect::<BTreeMap<_, _>>(),
        "keys": rotating.map(|(name, target)| (*name, keys(target))).collect::<BTreeMap<_, _>>(),
        "recent": recent.iter().map(call).collect::<Vec<_>>(),
    }))
}

fn circuit(circuits: &CircuitBreakerHandle, target: &str) -> Value {
    let (state, retry_after) = match circuits.state(Some(target)) {
        CircuitState::Closed | CircuitState::ForcedClosed => ("closed", Duration::ZERO),
        CircuitState::Open { retry_after } => ("open", retry_after),
        CircuitState::ForcedOpen => ("open", Duration::ZERO),
        _ => ("half_open", Duration::ZERO),
    };
    let (failures, refused) = circuits.status(Some(target)).map_or((0, 0), |status| (status.failures_in_a_row, status.refused));
    json!({ "state": state, "retry_after_ms": millis(retry_after), "failures_in_a_row": failures, "refused": refused })
}

fn limit(limits: &RateLimitHandle, provider: &str) -> Value {
    let left = |dimension| limits.left(Some(provider), dimension);
    let closed_for = millis(limits.closed_for(Some(provider)));
    json!({ "requests_left": left(Dimension::Requests), "tokens_left": left(Dimension::Tokens), "closed_for_ms": closed_for })
}

fn key(state: KeyState) -> Value {
    match state {
        KeyState::Limited { rest } => json!({ "state": "limited", "rests_for_ms": millis(rest) }),
        KeyState::Refused { rest } => json!({ "state": "refused", "rests_for_ms": millis(rest) }),
        _ => json!({ "state": "good" }),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
