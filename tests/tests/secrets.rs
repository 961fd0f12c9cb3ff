//! No credential reaches anybody but whom it is for, and none is ever shown.
//!
//! The providers log all that they receive. The caller's own credentials, and those of each target, are words that must not be found anywhere else:
//! not in a header, a URI or a body of another target, not in a `Debug`, an error, a trail or a line of the log.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{error::Error as _, fmt::Debug, io, sync::Arc, time::Duration};

use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::ServiceExt;
use towline::{BoxError, Call, Credential, FallbackLayer, RetryLayer, Target, TimeoutLayer, Tokens, TracingObserver, stack};
use towline_testkit::{MockProvider, Received, Reply};
use towline_tests::{Body, hyper, reqwest};

const CALLERS: &str = "callers-own-secret";
const KEYS: [&str; 4] = ["secret-of-a", "secret-of-b", "secret-of-c", "secret-of-d"];

/// A request that carries the caller's credentials in every way that is known.
fn leaky() -> Request<Body> {
    let names = [
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "openai-organization",
        "openai-project",
        "proxy-authorization",
    ];
    let mut request = Request::post(format!("/v1/messages?key={CALLERS}&alt=sse&access_token={CALLERS}"));
    for name in names {
        request = request.header(name, CALLERS);
    }
    let mut own = HeaderValue::from_static(CALLERS);
    own.set_sensitive(true);
    request.header("x-some-house-token", own).body(Full::from(r#"{"model":"m","messages":[]}"#)).unwrap()
}

/// Four targets, each with its credential in another place.
fn targets(providers: &[MockProvider]) -> Vec<Target> {
    let credentials = [
        Credential::bearer(KEYS[0]).unwrap(),
        Credential::header("x-api-key", KEYS[1]).unwrap(),
        Credential::query("key", KEYS[2]).unwrap(),
        Credential::header("x-of-its-own", KEYS[3]).unwrap(),
    ];
    let named = ["a", "b", "c", "d"].into_iter().zip(providers).zip(credentials);
    let made = named.map(|((name, provider), credential)| (Target::new(name, provider.url("")).unwrap(), credential));
    made.map(|(target, credential)| target.with_credential(credential)).collect()
}

/// The same, and each says its word in the body too: as a parameter, and in the prompt.
fn variants(providers: &[MockProvider]) -> Vec<Target> {
    let own = |(target, key): (Target, &str)| {
        target.with_parameters(format!(r#"{{"metadata":{{"user_id":"{key}"}}}}"#)).with_system_prompt(format!("You know {key}."))
    };
    targets(providers).into_iter().zip(KEYS).map(own).collect()
}

/// All of them, however often each is asked; the other way round, so that each comes after each other once.
fn chain(mut targets: Vec<Target>, reversed: bool) -> FallbackLayer {
    if reversed {
        targets.reverse();
    }
    FallbackLayer::new(targets).unwrap().max_attempts(100).unwrap()
}

async fn providers(replies: impl Fn() -> Vec<Reply>) -> Vec<MockProvider> {
    let mut providers = Vec::new();
    for _ in 0..KEYS.len() {
        let provider = MockProvider::start_with(replies()).await.unwrap();
        provider.otherwise(Reply::status(500));
        providers.push(provider);
    }
    providers
}

/// All that a provider received, as it was sent.
fn all_of(received: &Received) -> String {
    let headers: String =
        received.headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))).collect();
    format!("{} {}\n{headers}\n{}", received.method, received.uri, received.text())
}

fn assert_only_its_own(providers: &[MockProvider]) {
    for (at, provider) in providers.iter().enumerate() {
        for received in provider.requests() {
            let all = all_of(&received);
            assert!(!all.contains(CALLERS), "{all}");
            for (key_of, key) in KEYS.iter().enumerate() {
                assert_eq!(all.contains(key), key_of == at, "{key} at {at}:\n{all}");
            }
            assert!(received.uri.to_string().contains("alt=sse"), "what is no secret stays");
        }
    }
}

fn assert_shows_none(shown: &str) {
    for secret in KEYS.iter().chain(&[CALLERS]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// Quick retries, so that each target is asked more than once.
fn retry() -> RetryLayer {
    RetryLayer::new().backoff(Duration::from_millis(1), Duration::from_millis(2)).unwrap()
}

#[tokio::test]
async fn each_target_gets_its_own_credential_and_nobody_elses_also_after_retries() {
    let providers = providers(|| vec![Reply::status(500), Reply::reset(), Reply::status(500)]).await;
    for pass in 0..2 {
        let (status, shown) = match pass {
            0 => answer(stack(hyper()).fallback(chain(targets(&providers), pass == 1)).retry(retry()).build().unwrap()).await,
            _ => answer(stack(reqwest()).fallback(chain(targets(&providers), pass == 1)).retry(retry()).build().unwrap()).await,
        };
        assert_eq!(status, 500);
        assert_shows_none(&shown);
    }
    assert!(
        providers.iter().all(|provider| provider.hits() >= 3),
        "{:?}",
        providers.iter().map(MockProvider::hits).collect::<Vec<_>>()
    );
    assert_only_its_own(&providers);
}

#[tokio::test]
async fn what_a_targets_own_parameters_and_prompt_say_is_said_to_that_target_only() {
    let providers = providers(|| vec![Reply::status(500), Reply::reset(), Reply::status(500)]).await;
    for reversed in [false, true] {
        let fallback = chain(variants(&providers), reversed);
        let (status, shown) = answer(stack(hyper()).fallback(fallback).retry(retry()).build().unwrap()).await;
        assert_eq!(status, 500);
        assert_shows_none(&shown);
    }
    for (provider, key) in providers.iter().zip(KEYS) {
        assert!(provider.hits() >= 3);
        for received in provider.requests() {
            let body = received.text();
            assert_eq!(body.matches(key).count(), 2, "{body}");
        }
    }
    assert_only_its_own(&providers);
}

/// Sends the leaky request; returns the status, and everything that can be printed of the answer and the service.
async fn answer<S, R>(service: S) -> (u16, String)
where
    S: tower::Service<Request<Body>, Response = http::Response<R>, Error = towline::Error> + Clone + Debug,
    R: http_body::Body + Debug,
{
    let mut shown = format!("{service:?}");
    let response = service.oneshot(leaky()).await.unwrap();
    shown += &format!("{response:?} {:?} {:?}", Call::of(response.extensions()), Target::of(response.extensions()));
    for attempt in Call::of(response.extensions()).unwrap().trail() {
        shown += &format!("{attempt} {attempt:?}");
    }
    (response.status().as_u16(), shown)
}

#[tokio::test]
async fn neither_a_second_key_nor_a_token_reaches_anybody_elses_target() {
    let providers = providers(|| vec![Reply::status(401), Reply::status(503)]).await;
    let key = |at: usize| Credential::header("x-api-key", KEYS[at]).unwrap();
    let own = |at: usize| Credential::query("code", KEYS[at]).unwrap();
    let token = |at: usize| {
        Tokens::new(move || async move { Ok::<_, BoxError>((Credential::bearer(KEYS[at])?, Duration::from_secs(60))) })
    };
    let target = |at: usize| Target::new(at.to_string(), providers[at].url("")).unwrap();
    let targets = [
        target(0).with_keys([key(0), Credential::bearer(KEYS[0]).unwrap()]),
        target(1).with_authorizer(token(1)),
        target(2).with_keys([own(2), key(2)]),
        target(3).with_authorizer(token(3)),
    ];
    let fallback = FallbackLayer::new(targets).unwrap().max_attempts(100).unwrap().auth_moves_on(true);
    let (status, shown) = answer(stack(hyper()).fallback(fallback).retry(retry()).build().unwrap()).await;
    assert_eq!(status, 500);
    assert!(providers.iter().all(|provider| provider.hits() >= 3), "each with another credential, and once more");
    assert_only_its_own(&providers);
    assert_shows_none(&shown);
}

#[tokio::test]
async fn a_redirect_takes_no_credential_along() {
    let providers = providers(Vec::new).await;
    let elsewhere = MockProvider::start().await.unwrap();
    for provider in &providers {
        provider.otherwise(Reply::status(307).header("location", elsewhere.url("/")));
    }
    let response = stack(reqwest()).targets(targets(&providers)).unwrap().build().unwrap().oneshot(leaky()).await.unwrap();
    assert_eq!((response.status().as_u16(), elsewhere.hits()), (307, 0));
    assert_only_its_own(&providers);
}

/// To a sibling's own address, and with retries in between: the worst place for a key to be taken along to.
#[tokio::test]
async fn redirects_to_each_other_after_retries_take_no_credential_along() {
    for (reversed, step) in [(false, 1), (false, 2), (true, 1), (true, 3)] {
        for status in [301, 302, 303, 307, 308] {
            let providers = providers(Vec::new).await;
            for (at, provider) in providers.iter().enumerate() {
                let sibling = providers[(at + step) % providers.len()].url("/v1/messages?alt=sse");
                let redirect = || Reply::status(status).header("location", sibling.clone());
                // Once for each client.
                provider.script([Reply::reset(), redirect(), Reply::reset(), redirect()]);
            }
            let fallback = || chain(targets(&providers), reversed);
            let (told, shown) = answer(stack(hyper()).fallback(fallback()).retry(retry()).build().unwrap()).await;
            let (again, also) = answer(stack(reqwest()).fallback(fallback()).retry(retry()).build().unwrap()).await;
            assert_eq!((told, again), (status, status), "nobody follows it");
            assert!(providers.iter().all(|provider| provider.hits() == 4), "each was asked twice by both, and by nobody else");
            assert_only_its_own(&providers);
            assert_shows_none(&(shown + &also));
        }
    }
}

/// A header of the caller's that is none of those known for credentials, and not marked as one, is passed on purpose; so is one that a
/// target was given, to that target.
#[tokio::test]
async fn what_is_passed_on_purpose_reaches_those_it_is_meant_for() {
    let providers = providers(Vec::new).await;
    let name = http::HeaderName::from_static("authorization");
    let with =
        Target::new("a", providers[0].url("")).unwrap().with_header(name, HeaderValue::from_static("Bearer of-the-caller"));
    let without = Target::new("b", providers[1].url("")).unwrap();
    let mut request = leaky();
    request.headers_mut().insert("x-user-id", HeaderValue::from_static("user-of-the-caller"));
    let service = stack(hyper()).fallback(FallbackLayer::new([with, without]).unwrap()).retry(retry()).build().unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 500);
    for (provider, own) in providers.iter().zip([Some("Bearer of-the-caller"), None]) {
        assert!(provider.hits() > 0);
        for received in provider.requests() {
            assert_eq!((received.header("authorization"), received.header("x-user-id")), (own, Some("user-of-the-caller")));
            assert!(!all_of(&received).contains(CALLERS));
        }
    }
}

#[tokio::test]
async fn no_error_and_no_log_line_shows_a_credential() {
    let lines = Log::default();
    let _guard = tracing::subscriber::set_default(
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(lines.clone()).finish(),
    );
    let refused = MockProvider::refused().unwrap();
    let silent = MockProvider::start().await.unwrap();
    silent.otherwise(Reply::silence());
    let targets = [
        Target::new("a", refused.url("")).unwrap().with_credential(Credential::query("key", KEYS[0]).unwrap()),
        Target::new("b", silent.url("")).unwrap().with_credential(Credential::bearer(KEYS[1]).unwrap()),
    ];
    let service = stack(reqwest())
        .targets(targets)
        .unwrap()
        .retry(retry())
        .attempt_timeout(TimeoutLayer::new().head(Duration::from_millis(50)).unwrap())
        .observer(Arc::new(TracingObserver::new()))
        .build()
        .unwrap();

    let error = service.oneshot(leaky()).await.err().unwrap();

    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(link) = source {
        shown += &format!("\n{link} {link:?}");
        source = link.source();
    }
    assert!(shown.contains("a: connect") && shown.contains("b: timeout"), "the trail is told: {shown}");
    assert_shows_none(&shown);
    let logged = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert!(logged.contains("moving on") && logged.contains("timed out"), "{logged}");
    assert_shows_none(&logged);
}

#[tokio::test]
async fn an_error_at_axums_edge_shows_no_credential() {
    use tower_layer::Layer;
    use towline::axum::EdgeLayer;

    let refused = MockProvider::refused().unwrap();
    let target = Target::new("a", refused.url("")).unwrap().with_credential(Credential::query("key", KEYS[0]).unwrap());
    let edge = EdgeLayer::new().layer(stack(reqwest()).targets([target]).unwrap().retry(retry()).build().unwrap());
    let response = edge.oneshot(leaky().map(axum::body::Body::new)).await.unwrap();
    assert_eq!(response.status(), 502);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("a: connect"), "{text}");
    assert_shows_none(&text);
}

/// Where log lines go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
