//! Conversations that stay with the target that answered them last.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, advance};
use towline_core::{Failure, FailureKind, Target};
use towline_fallback::FallbackLayer;

mod support;

use support::*;

const TTL: Duration = Duration::from_secs(300);

fn sticky(targets: impl IntoIterator<Item = Target>) -> FallbackLayer {
    let conversation = |parts: &http::request::Parts| parts.headers.get("x-conversation")?.to_str().ok().map(Into::into);
    FallbackLayer::new(targets).unwrap().seed(7).sticky(conversation, TTL)
}

fn of(conversation: &str) -> Request<Full<Bytes>> {
    let mut request = request();
    request.headers_mut().insert("x-conversation", conversation.parse().unwrap());
    request
}

/// Whom a call of this conversation asks, where these are down.
async fn asks(layer: &FallbackLayer, conversation: &str, down: &'static [&'static str]) -> String {
    ask(layer, of(conversation), move |host| status(if down.contains(&host) { 503 } else { 200 })).await.1.join(" ")
}

#[tokio::test(start_paused = true)]
async fn whatever_the_weights_a_conversation_stays_where_it_began() {
    let equal = |target: Target| target.with_weight(NonZeroU32::MIN);
    let layer = sticky(targets(&["a", "b", "c"]).into_iter().map(equal));
    let mut firsts = BTreeSet::new();
    for conversation in ["one", "two", "three", "four", "five", "six"] {
        let first = asks(&layer, conversation, &[]).await;
        for _ in 0..20 {
            assert_eq!(asks(&layer.clone(), conversation, &[]).await, first);
        }
        firsts.insert(first);
    }
    assert!(firsts.len() > 1, "and yet they are shared out");
    let mut without = BTreeSet::new();
    for _ in 0..50 {
        without.insert(ask(&layer, request(), |_| status(200)).await.1.concat());
    }
    assert_eq!(without.len(), 3, "who belongs to none is drawn each time");
}

#[tokio::test(start_paused = true)]
async fn it_moves_on_with_whoever_answers_and_does_not_come_back_by_itself() {
    let layer = sticky(targets(&["a", "b", "c"]));
    assert_eq!(asks(&layer, "x", &[]).await, "a");
    assert_eq!(asks(&layer, "x", &["a"]).await, "a b");
    assert_eq!(asks(&layer, "x", &[]).await, "b", "where its prompt is kept now");
    assert_eq!(asks(&layer, "x", &["b"]).await, "b a", "the others in their order");
    assert_eq!(asks(&layer, "y", &[]).await, "a", "and another is another");
    assert_eq!(asks(&layer, "x", &["a", "b", "c"]).await, "a b c");
    assert_eq!(asks(&layer, "x", &[]).await, "a", "a failure moves nobody");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_kept_back_costs_its_conversation_no_time() {
    let layer = sticky(targets(&["a", "b"]));
    assert_eq!(asks(&layer, "x", &["a"]).await, "a b");
    let began = Instant::now();
    let open = |host: &str| if host == "b" { kept_back(FailureKind::CircuitOpen, 60) } else { status(200) };
    assert_eq!(ask(&layer, of("x"), open).await.1, ["b", "a"]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(asks(&layer, "x", &[]).await, "a");
}

#[tokio::test(start_paused = true)]
async fn it_is_forgotten_when_no_answer_came_for_as_long_as_a_prompt_is_kept() {
    let layer = sticky(targets(&["a", "b"]));
    assert_eq!(asks(&layer, "x", &["a"]).await, "a b");
    for _ in 0..3 {
        advance(TTL - Duration::from_millis(1)).await;
        assert_eq!(asks(&layer, "x", &[]).await, "b", "each answer keeps it");
    }
    advance(TTL).await;
    assert_eq!(asks(&layer, "x", &[]).await, "a");
}

#[tokio::test(start_paused = true)]
async fn nobody_stays_with_a_target_that_is_there_for_one_reason() {
    let layer = sticky(targets(&["a", "b"])).context_window_targets(targets(&["large"])).unwrap();
    let too_long = |host: &str| match host {
        "large" => status(200),
        _ => failed(Failure::new(FailureKind::ContextLength)),
    };
    for _ in 0..2 {
        assert_eq!(ask(&layer, of("x"), too_long).await.1, ["a", "large"]);
    }
}
