//! Five days in the life of a fallback chain, each with a chaos of its own, told in numbers. On a clock that is held, so that all their waits
//! take no time. Nothing outside of this machine is asked.

use std::time::Duration;

use bytes::Bytes;
use chaos::{ask, chain};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::Instant;
use tower::Layer;
use towline::{BoxError, FailureKind, Target};
use towline_testkit::{Answer, ChaosLayer, Dialect, HeldClock, Injection, MockProvider, ProviderError};

const CALLS: usize = 40;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let clock = HeldClock::hold();
    let overloaded = || Injection::error(Dialect::OpenAiChat, ProviderError::Overloaded);
    let lost = || Injection::fail(FailureKind::Transport);
    let gone = || Injection::fail(FailureKind::Connect).for_target("primary");

    clock.drive(STEP, day("a quiet day", [])).await?;
    let bad = [
        overloaded().probability(0.2)?.for_target("primary"),
        lost().probability(0.1)?.for_target("primary"),
        Injection::delay_up_to(Duration::from_millis(400)).for_target("primary"),
    ];
    clock.drive(STEP, day("the primary has a bad day", bad)).await?;
    clock.drive(STEP, day("the primary is gone", [gone()])).await?;
    let cut = Injection::cut(2000).probability(0.25)?.for_target("primary");
    clock.drive(STEP, day("a quarter of the primary's streams break in the middle", [cut])).await?;
    clock.drive(STEP, day("everybody is overloaded", [overloaded()])).await?;
    Ok(())
}

/// How far the clock is moved whenever all have had their turn.
const STEP: Duration = Duration::from_millis(50);

/// Asks forty times on such a day, with a chain of its own, and tells what became of it.
async fn day(name: &str, chaos: impl IntoIterator<Item = Injection>) -> Result<(), BoxError> {
    let provider = MockProvider::start().await?;
    provider.speak(Dialect::OpenAiChat, Answer::counting(20));
    let chaos = chaos.into_iter().fold(ChaosLayer::seeded(2026), ChaosLayer::inject);
    let client = chaos.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let target = |name: &str| Target::new(name, provider.url("/v1"));
    let service = chain(client, [target("primary")?, target("second")?])?;

    let (mut by_primary, mut by_second, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..CALLS {
        let began = Instant::now();
        match ask(&service, "Count.").await {
            Ok(answer) if answer.by == "primary" => by_primary += 1,
            Ok(_) => by_second += 1,
            Err(_) => {}
        }
        slowest = slowest.max(began.elapsed());
    }
    let failed = CALLS - by_primary - by_second;
    let did = chaos.handle().counts();
    println!("# {name}");
    println!("  injected: {} answers, {} errors, {} waits, {} cuts", did.answered, did.failed, did.delayed, did.cut);
    println!(
        "  whole answers: {by_primary} by primary, {by_second} by second; errors: {failed}; the slowest took {:.1} s",
        slowest.as_secs_f64()
    );
    Ok(())
}
