//! What the gateway tells of itself: `/status` for people and scripts, `/metrics` for Prometheus.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use serde_json::{Value, json};
use towline::{CircuitState, Dimension, KeyState, Target};

use crate::app::Gateway;

pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>) -> String {
    gateway.prometheus.render()
}

pub(crate) async fn status(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let targets: BTreeMap<&str, &Target> =
        gateway.models.values().flat_map(|model| &model.targets).map(|to| (to.name(), to)).collect();
    let circuits: BTreeMap<_, _> = targets.keys().map(|name| (name, circuit(&gateway, name))).collect();
    let keyed = targets.iter().filter(|(_, target)| target.keys().len() > 1);
    let keys: BTreeMap<_, Vec<_>> =
        keyed.map(|(name, target)| (name, gateway.shared.authorize.keys(target).into_iter().map(key).collect())).collect();
    let handle = gateway.shared.rate_limit.handle();
    let limits: BTreeMap<_, _> = gateway.providers.iter().map(|name| {
        let left = |dimension| handle.left(Some(name), dimension);
        (name, json!({ "requests_left": left(Dimension::Requests), "tokens_left": left(Dimension::Tokens), "closed_for_ms": millis(handle.closed_for(Some(name))) }))
    }).collect();
    let queues: BTreeMap<_, _> = gateway.providers.iter().map(|name| (name, handle.waiting(Some(name)))).collect();
    let recent = gateway
        .recent
        .lock()
        .iter()
        .rev()
        .map(|(id, call)| {
            let attempts: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
            json!({ "id": id.to_str().unwrap_or("-"), "model": call.facts().model.as_deref(), "attempts": attempts })
        })
        .collect::<Vec<_>>();
    Json(json!({ "circuits": circuits, "limits": limits, "queues": queues, "keys": keys, "recent": recent }))
}

fn circuit(gateway: &Gateway, target: &str) -> Value {
    let handle = gateway.shared.circuit_breaker.handle();
    let (state, retry_after) = match handle.state(Some(target)) {
        CircuitState::Closed | CircuitState::ForcedClosed => ("closed", Duration::ZERO),
        CircuitState::Open { retry_after } => ("open", retry_after),
        CircuitState::ForcedOpen => ("open", Duration::ZERO),
        _ => ("half_open", Duration::ZERO),
    };
    let status = handle.status(Some(target));
    json!({ "state": state, "retry_after_ms": millis(retry_after), "failures_in_a_row": status.map_or(0, |status| status.failures_in_a_row),
        "refused": status.map_or(0, |status| status.refused) })
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
