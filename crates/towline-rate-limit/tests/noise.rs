//! Ten minutes of full demand at providers that count in their own ways, with a use of tokens that nobody knows before: 0.2 to 5
//! times what was estimated. `cargo xtask bench providers` prints what comes of it, beside other limiters.

mod sim;

use sim::{Limiter, SCENES, Scene};

/// Less than one call in two hundred is refused, and at least 85 % of the limit is used.
#[allow(clippy::panic, reason = "a helper of tests may panic where a test may")]
async fn play(scene: Scene) {
    let outcome = scene.play(Limiter::Ours).await;
    assert!(outcome.refused < 0.005 && (0.85..1.0).contains(&outcome.used), "{outcome:?}");
    assert!(outcome.counts.served > 10_000, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn where_tokens_refill_steadily_hardly_any_is_refused_and_most_of_the_limit_is_used() {
    play(SCENES[0]).await;
}

#[tokio::test(start_paused = true)]
async fn where_each_minute_begins_anew_hardly_any_is_refused_and_most_of_the_limit_is_used() {
    play(SCENES[1]).await;
}

#[tokio::test(start_paused = true)]
async fn where_requests_count_by_the_second_hardly_any_is_refused_and_most_of_the_tokens_are_used() {
    play(SCENES[2]).await;
}

#[tokio::test(start_paused = true)]
async fn where_requests_count_by_the_second_hardly_any_is_refused_and_most_of_them_are_used() {
    play(SCENES[3]).await;
}

#[tokio::test(start_paused = true)]
async fn where_even_tokens_count_by_the_second_hardly_any_is_refused_and_most_of_the_limit_is_used() {
    play(SCENES[4]).await;
}
