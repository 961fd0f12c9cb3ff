//! What limiters make of providers that count in their own ways: `cargo xtask bench providers`. Ten minutes of full demand each, on
//! a clock that is moved.

#[path = "../tests/sim/mod.rs"]
mod sim;

use sim::{Limiter, SCENES, Scene};

fn main() {
    // `cargo test` runs benches too, to see that they run; the tests play the same scenes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| provider | limiter | refused with 429 | of the limit used |");
    println!("|---|---|--:|--:|");
    for scene in SCENES {
        for (limiter, name) in [
            (Limiter::Ours, "towline-rate-limit"),
            (Limiter::FixedWindow, "fixed window"),
            (Limiter::TokenBucket, "token bucket (governor)"),
        ] {
            let outcome = play(scene, limiter);
            println!("| {} | {name} | {:.2} % | {:.1} % |", scene.name, 100.0 * outcome.refused, 100.0 * outcome.used);
        }
    }
}

fn play(scene: Scene, limiter: Limiter) -> sim::Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(scene.play(limiter)),
        Err(error) => unreachable!("a runtime without sockets: {error}"),
    }
}
