//! What a team pastes into its CI: its own chain, as it ships, on bad days.
//!
//! The seed is fixed, so that a red build is red again on the next machine. A nightly job sets `CHAOS_SEED` to another one each time; whatever
//! fails prints it.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{env, time::Duration};

use bytes::Bytes;
use chaos::{ask, chain};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};
use towline::{Error, FailureKind, Target};
use towline_testkit::{Answer, ChaosHandle, ChaosLayer, Dialect, HeldClock, Injection, MockProvider, ProviderError};

/// How far the clock is moved at a time: short beside every limit of the chain.
const STEP: Duration = Duration::from_millis(50);

/// The chain over chaos over a real client, two providers, and the handle of the chaos, which does nothing yet.
async fn staging() -> (impl Chain, ChaosHandle, [MockProvider; 2]) {
    let seed = env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    println!("CHAOS_SEED={seed}");
    let chaos = ChaosLayer::seeded(seed);
    let providers = [MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap()];
    providers.iter().for_each(|provider| provider.speak(Dialect::OpenAiChat, Answer::counting(20)));
    let target = |name: &str, provider: &MockProvider| Target::new(name, provider.url("/v1")).unwrap();
    let targets = [target("primary", &providers[0]), target("second", &providers[1])];
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    (chain(chaos.layer(client), targets).unwrap(), chaos.handle(), providers)
}

/// What [`ask`] asks of a chain.
trait Chain: Service<Request<Full<Bytes>>, Response = Response<Self::Body>, Error = Error> + Clone {
    type Body: http_body::Body<Error = Error>;
}

impl<S, R> Chain for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Error> + Clone,
    R: http_body::Body<Error = Error>,
{
    type Body = R;
}

fn overloaded() -> Injection {
    Injection::error(Dialect::OpenAiChat, ProviderError::Overloaded)
}

fn is_whole(text: &str) -> bool {
    text.contains(r#""20 ""#) && text.contains("[DONE]")
}

#[tokio::test(start_paused = true)]
async fn a_bad_day_of_the_primary_is_nobodys_business() {
    let clock = HeldClock::hold();
    let (chain, chaos, [_primary, second]) = staging().await;
    chaos.inject(overloaded().probability(0.2).unwrap().for_target("primary"));
    chaos.inject(Injection::fail(FailureKind::Transport).probability(0.15).unwrap().for_target("primary"));
    let answers = async {
        for _ in 0..60 {
            let answer = ask(&chain, "Count.").await.unwrap();
            assert!(is_whole(&answer.text), "{answer:?}");
        }
    };
    clock.drive(STEP, answers).await;
    let did = chaos.counts();
    assert!(did.answered > 0 && did.failed > 0, "the chaos did come: {did:?}");
    assert!(second.hits() < 30, "and most of it the primary got over by itself");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_gone_is_left_alone_and_is_asked_again_when_it_is_back() {
    let clock = HeldClock::hold();
    let (chain, chaos, [primary, second]) = staging().await;
    chaos.inject(Injection::fail(FailureKind::Connect).for_target("primary"));
    let outage = async {
        for _ in 0..30 {
            assert_eq!(ask(&chain, "Count.").await.unwrap().by, "second");
        }
    };
    clock.drive(STEP, outage).await;
    assert_eq!((primary.hits(), second.hits()), (0, 30));
    assert!(chaos.counts().failed <= 8, "its circuit has opened: {:?}", chaos.counts());

    chaos.clear();
    let recovery = async {
        sleep(Duration::from_secs(20)).await;
        for _ in 0..10 {
            ask(&chain, "Count.").await.unwrap();
        }
        ask(&chain, "Count.").await.unwrap().by
    };
    assert_eq!(clock.drive(STEP, recovery).await, "primary", "nobody stays with the second for ever");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_an_error_and_never_a_short_answer() {
    let clock = HeldClock::hold();
    let (chain, chaos, _providers) = staging().await;
    chaos.inject(Injection::cut(2000).probability(0.3).unwrap());
    chaos.inject(Injection::truncate(2000).probability(0.3).unwrap());
    let broken = async {
        let mut broken = 0;
        for _ in 0..40 {
            match ask(&chain, "Count.").await {
                Ok(answer) => assert!(is_whole(&answer.text), "it looks whole, and is not: {answer:?}"),
                Err(_) => broken += 1,
            }
        }
        broken
    };
    assert!(clock.drive(STEP, broken).await > 0 && chaos.counts().cut > 0, "the chaos did come: {:?}", chaos.counts());
}

#[tokio::test(start_paused = true)]
async fn when_nobody_answers_the_caller_hears_so_within_half_a_minute() {
    let clock = HeldClock::hold();
    let (chain, chaos, [primary, second]) = staging().await;
    chaos.inject(overloaded());
    let began = Instant::now();
    let error = clock.drive(STEP, ask(&chain, "Count.")).await.unwrap_err();
    assert!(error.to_string().contains("nobody answered"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!((primary.hits(), second.hits(), chaos.counts().answered), (0, 0, 4), "each was asked twice, and no storm");
}
