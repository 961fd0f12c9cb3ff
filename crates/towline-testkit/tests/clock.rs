//! The held clock does what it says of tokio.

mod support;

use std::time::Duration;

use support::ask;
use tokio::time::{Instant, sleep, timeout};
use towline_testkit::{Gate, HeldClock, MockProvider, Reply, counted, until};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn without_it_a_paused_clock_leaps_while_bytes_are_under_way() {
    // The trap that the held clock is there for: nobody waited for a minute here.
    let provider = MockProvider::start_with([Reply::silence()]).await.unwrap();
    let begin = Instant::now();
    assert!(timeout(MINUTE, ask(provider.url("/"))).await.is_err());
    assert_eq!(begin.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_held_clock_stands_still_over_real_sockets() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start().await.unwrap();
    let begin = Instant::now();
    for _ in 0..100 {
        // A limit of one millisecond never passes, however slow this machine is.
        timeout(Duration::from_millis(1), ask(provider.url("/"))).await.unwrap().unwrap();
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    clock.advance(MINUTE).await;
    assert_eq!(begin.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_advance_fires_what_is_due_and_nothing_else() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start_with([Reply::ok().delay(MINUTE)]).await.unwrap();
    let call = tokio::spawn(ask(provider.url("/")));
    provider.received(1).await;
    clock.advance(MINUTE - Duration::from_millis(1)).await;
    clock.settle(50).await;
    assert_eq!(provider.answers(), 0);
    clock.advance(Duration::from_millis(1)).await;
    provider.answered(1).await;
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn sleeps_in_a_row_need_a_leap_each() {
    let clock = HeldClock::hold();
    let (task, polls) = counted(async {
        sleep(MINUTE).await;
        sleep(MINUTE).await;
    });
    let task = tokio::spawn(task);
    polls.reached(1).await;
    clock.advance(2 * MINUTE).await;
    assert!(!task.is_finished());
    assert_eq!(polls.get(), 2);
    clock.advance(MINUTE).await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_driven_clock_lets_many_waits_pass_over_real_sockets() {
    let clock = HeldClock::hold();
    let provider = MockProvider::start().await.unwrap();
    provider.otherwise(Reply::ok().delay(MINUTE));
    let begin = Instant::now();
    let (call, polls) = counted(async {
        for _ in 0..10 {
            timeout(2 * MINUTE, ask(provider.url("/"))).await.unwrap().unwrap();
            sleep(MINUTE).await;
        }
        "done"
    });
    assert_eq!(clock.drive(Duration::from_secs(1), call).await, "done");
    assert!((20 * MINUTE..25 * MINUTE).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert!(polls.get() > 20);
    let after = begin.elapsed();
    clock.settle(100).await;
    assert_eq!(begin.elapsed(), after, "and then it stands still again");
}

#[tokio::test(start_paused = true)]
async fn a_driven_clock_does_not_move_for_what_needs_no_time() {
    let clock = HeldClock::hold();
    let begin = Instant::now();
    clock.drive(MINUTE, async {}).await;
    clock.drive(MINUTE, clock.settle(9)).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn once_dropped_the_clock_leaps_again() {
    let begin = Instant::now();
    let (first, second) = (HeldClock::hold(), HeldClock::hold());
    drop(first);
    drop(second);
    sleep(MINUTE).await;
    assert_eq!(begin.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_that_is_dropped_does_not_release_the_other() {
    let (first, _second) = (HeldClock::hold(), HeldClock::hold());
    drop(first);
    let sleeper = tokio::spawn(sleep(Duration::from_millis(1)));
    let provider = MockProvider::start().await.unwrap();
    ask(provider.url("/")).await.unwrap();
    assert!(!sleeper.is_finished());
}

#[test]
fn a_clock_held_in_a_task_does_not_keep_the_runtime_from_ending() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let gate = Gate::new();
    runtime.spawn({
        let gate = gate.clone();
        async move {
            let _clock = HeldClock::hold();
            gate.pass().await;
        }
    });
    runtime.block_on(gate.reached(1));
    drop(runtime);
}

#[tokio::test(start_paused = true)]
async fn until_waits_for_a_condition() {
    let _clock = HeldClock::hold();
    let provider = MockProvider::start().await.unwrap();
    let call = tokio::spawn(ask(provider.url("/")));
    until(|| provider.hits() == 1 && provider.answers() == 1).await;
    call.await.unwrap().unwrap();
}
