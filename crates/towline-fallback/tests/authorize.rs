//! Keys, tokens and signatures: which credential an attempt shows.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use towline_core::{Authorize, Authorized, BoxError, Call, Credential, Error, Facts, FailureKind, Origin, Target, Unsigned};
use towline_fallback::{AuthorizeLayer, FallbackLayer, KeysExhausted, Tokens};

mod support;

use support::*;

type Log = Arc<Mutex<Vec<String>>>;

const MINUTE: Duration = Duration::from_secs(60);

fn keyed(keys: &[&str]) -> Target {
    Target::new("t", "http://t").unwrap().with_keys(keys.iter().map(|key| Credential::bearer(key).unwrap()))
}

/// Asks `target` once, by way of both layers; `reply` sees the key. Returns the answer and the keys that were shown.
async fn ask(
    layer: &AuthorizeLayer,
    target: &Target,
    reply: impl Fn(&str) -> Reply + Clone + Send + 'static,
) -> (Reply, Vec<String>) {
    let log = Log::default();
    let shown = Arc::clone(&log);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let value = request.headers().get("authorization").unwrap();
        assert!(value.is_sensitive());
        let key = value.to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let answer = reply(&key);
        shown.lock().push(key);
        async move { answer }
    });
    let client = FallbackLayer::new([target.clone()]).unwrap().layer(layer.layer(inner));
    let answer = client.oneshot(request()).await;
    let shown = log.lock().clone();
    (answer, shown)
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_keeps_the_key_and_a_limit_takes_the_next_at_once() {
    let (layer, target) = (AuthorizeLayer::new(), keyed(&["one", "two", "three"]));
    for _ in 0..2 {
        assert_eq!(ask(&layer, &target, |_| status(503)).await.1, ["one"]);
    }
    let first_is_limited = |key: &str| if key == "one" { limited("30") } else { status(200) };
    let (answer, shown) = ask(&layer, &target, first_is_limited).await;
    assert_eq!((answer.unwrap().status().as_u16(), shown.join(" ").as_str()), (200, "one two"));
    sleep(MINUTE).await;
    assert_eq!(ask(&layer, &target, |_| status(200)).await.1, ["two"], "which stays in use");
    let (answer, shown) = ask(&layer, &target, |key| limited(if key == "three" { "9" } else { "30" })).await;
    assert_eq!((answer.unwrap().headers()["retry-after"].to_str().unwrap(), shown.join(" ").as_str()), ("30", "two three one"));
    assert_eq!(ask(&layer, &target, |_| status(200)).await.1, ["three"], "all are limited: the first to be good again");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_accepted_is_left_alone_and_all_such_are_an_error_of_our_own() {
    let (layer, target) = (AuthorizeLayer::new(), keyed(&["one", "two"]));
    let first_is_wrong = |key: &str| status(if key == "one" { 401 } else { 200 });
    assert_eq!(ask(&layer, &target, first_is_wrong).await.1, ["one", "two"]);
    assert_eq!(ask(&layer, &target, first_is_wrong).await.1, ["two"]);
    let (answer, shown) = ask(&layer, &target, |_| status(403)).await;
    assert_eq!((answer.unwrap().status().as_u16(), shown.len()), (403, 1), "the provider's own word, once");

    let (answer, shown) = ask(&layer, &target, |_| status(200)).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.failure().origin, shown.len()), (FailureKind::Auth, Origin::Local, 0));
    assert_eq!(error.failure().hint.retry_after, Some(MINUTE));
    let source = error.source().unwrap().downcast_ref::<KeysExhausted>().unwrap();
    assert_eq!((source.target(), source.to_string().as_str()), ("t", "no key of t is accepted at present"));
    sleep(MINUTE).await;
    assert_eq!(ask(&layer, &target, |_| status(200)).await.1, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_keys_have_no_quota_left_is_passed_over() {
    let (authorize, second) = (AuthorizeLayer::new(), Target::new("b", "http://b").unwrap());
    let asked = Log::default();
    let log = Arc::clone(&asked);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        log.lock().push(Target::of(request.extensions()).unwrap().name().to_owned());
        let answer = if request.uri().host() == Some("t") { status(402) } else { status(200) };
        async move { answer }
    });
    let call = Call::new(Facts::default(), Instant::now(), None);
    let client = FallbackLayer::new([keyed(&["one", "two"]), second]).unwrap().layer(authorize.layer(inner));
    for _ in 0..2 {
        assert_eq!(client.clone().oneshot(with_call(&call)).await.unwrap().status(), 200);
    }
    assert_eq!(*asked.lock(), ["t", "t", "b", "b"]);
    let lines: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
    let spent = "t: quota_exhausted 402 after 0ms";
    let refused = "t: quota_exhausted after 0ms";
    assert_eq!(lines, [spent, "b: ok 200 after 0ms", refused, "b: ok 200 after 0ms"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_passed_is_a_line_of_the_trail() {
    let call = Call::new(Facts::default(), Instant::now(), None);
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| {
        let answer = if request.headers()["authorization"] == "Bearer one" { limited("9") } else { status(200) };
        async move { answer }
    });
    let client = FallbackLayer::new([keyed(&["one", "two"])]).unwrap().layer(AuthorizeLayer::new().layer(inner));
    client.oneshot(with_call(&call)).await.unwrap();
    let lines: Vec<_> = call.trail().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["t: rate_limit 429 after 0ms", "t: ok 200 after 0ms"]);
}

#[tokio::test]
async fn what_fails_and_is_no_fault_of_the_key_uses_up_none() {
    let (layer, target) = (AuthorizeLayer::new(), keyed(&["one", "two"]));
    for code in [400, 404, 500] {
        assert_eq!(ask(&layer, &target, move |_| status(code)).await.1, ["one"]);
    }
    let refused = |_: &str| Err(Error::new(towline_core::Failure::new(FailureKind::Connect)));
    assert_eq!(ask(&layer, &target, refused).await.1, ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_once_for_all_and_again_before_it_expires_or_when_it_is_refused() {
    let fetched = Arc::new(Mutex::new(0));
    let count = Arc::clone(&fetched);
    let tokens = Tokens::new(move || {
        let count = Arc::clone(&count);
        async move {
            sleep(Duration::from_millis(100)).await;
            let mut count = count.lock();
            *count += 1;
            Ok::<_, BoxError>((Credential::bearer(format!("token-{count}"))?, 10 * MINUTE))
        }
    });
    let (layer, target) = (AuthorizeLayer::new(), Target::new("t", "http://t").unwrap().with_authorizer(tokens));
    let good = |_: &str| status(200);
    let (one, two) = tokio::join!(ask(&layer, &target, good), ask(&layer, &target, good));
    assert_eq!((one.1.concat(), two.1.concat()), ("token-1".to_owned(), "token-1".to_owned()));
    sleep(9 * MINUTE).await;
    assert_eq!(ask(&layer, &target, good).await.1, ["token-2"], "a tenth before its end");
    let stale = |token: &str| status(if token == "token-2" { 401 } else { 200 });
    assert_eq!(ask(&layer, &target, stale).await.1, ["token-2", "token-3"]);
    let (answer, shown) = ask(&layer, &target, |_| status(401)).await;
    assert_eq!((answer.unwrap().status().as_u16(), shown.len()), (401, 2), "once more, not oftener");
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_our_own_failure_and_nothing_is_sent() {
    let tokens =
        Tokens::new(|| async { Err::<(Credential, Duration), BoxError>("the identity provider is down: s3cret".into()) });
    let target = Target::new("t", "http://t").unwrap().with_authorizer(tokens);
    let (answer, shown) = ask(&AuthorizeLayer::new(), &target, |_| status(200)).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.failure().origin, shown.len()), (FailureKind::Auth, Origin::Local, 0));
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

struct Signature;

impl Authorize for Signature {
    fn authorize(&self, attempt: &Unsigned<'_>) -> Authorized {
        let signed = format!("{} {} {}", attempt.method, attempt.uri, attempt.body().unwrap().len());
        let both = [Credential::header("authorization", &signed), Credential::header("x-amz-date", "today")];
        Authorized::Now(both.into_iter().collect::<Result<_, _>>().map_err(Into::into))
    }
}

#[tokio::test]
async fn a_signature_sees_the_request_as_it_is_sent() {
    let target = Target::new("t", "http://t/v1").unwrap().with_model("m").with_authorizer(Signature);
    let sent = Log::default();
    let log = Arc::clone(&sent);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        log.lock().extend(["authorization", "x-amz-date"].map(|name| request.headers()[name].to_str().unwrap().to_owned()));
        async { status(200) }
    });
    let client = FallbackLayer::new([target]).unwrap().layer(AuthorizeLayer::new().layer(inner));
    client.oneshot(request()).await.unwrap();
    assert_eq!(*sent.lock(), [r#"POST http://t/v1/chat/completions 13"#, "today"], "the model in it");
}

#[tokio::test]
async fn what_has_no_keys_goes_through_untouched_and_a_dropped_wait_fetches_nothing() {
    let layer = AuthorizeLayer::new();
    let plain = layer.layer(tower::service_fn(|request: Request<Full<Bytes>>| async move {
        assert_eq!(request.headers()["authorization"], "mine");
        Ok::<_, BoxError>(Response::new(()))
    }));
    let mut sent = request();
    sent.headers_mut().insert("authorization", "mine".parse().unwrap());
    plain.clone().oneshot(sent).await.unwrap();

    let tokens = Tokens::new(std::future::pending::<Result<(Credential, Duration), BoxError>>);
    let mut waiting = request();
    waiting.extensions_mut().insert(Target::new("t", "http://t").unwrap().with_authorizer(tokens));
    let mut plain = plain;
    let mut future = tokio_test::task::spawn(plain.call(waiting));
    assert!(future.poll().is_pending() && !future.is_woken());
    drop(future);
    assert_eq!(layer.quarantine(MINUTE, Duration::ZERO).unwrap_err().field(), "quarantine");
}

#[test]
fn what_is_send_within_is_send_without() {
    fn assert_send<T: Send>(_: &T) {}
    let mut service =
        AuthorizeLayer::new().layer(tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(())) }));
    assert_send(&service);
    assert_send(&service.call(request()));
}
