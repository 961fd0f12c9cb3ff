use std::time::Duration;

use tokio::time::Instant;

use super::*;

async fn drain(script: Script, limits: DrainLimits) -> Drained {
    let gone = script.gone();
    let mut drain = Drain::new(script, limits);
    let drained = (&mut drain).await;
    assert!(gone(), "the body goes with the answer");
    assert_eq!((&mut drain).await, drained, "and the answer stays");
    drained
}

#[tokio::test(start_paused = true)]
async fn a_short_body_is_read_to_its_end() {
    for steps in [vec![], vec![Data("a"), Pending, Data("b")], vec![Pending, Data("a"), Trailers]] {
        assert_eq!(drain(Script::new(steps.clone()), DrainLimits::new()).await, Drained::Complete);
        assert_eq!(drain(Script::new(steps).sized(), DrainLimits::new()).await, Drained::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_itself_may_be_read() {
    let limits = DrainLimits::new().bytes(6);
    assert_eq!(drain(Script::new([Data("abc"), Data("def")]), limits).await, Drained::Complete);
    assert_eq!(drain(Script::new([Data("abc"), Data("defg")]), limits).await, Drained::TooLong);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_announces_too_much_is_not_read_at_all() {
    let limits = DrainLimits::new().bytes(6);
    assert_eq!(drain(Script::new([Stall, Data("abc"), Data("defg")]).sized(), limits).await, Drained::TooLong);
    assert_eq!(drain(Script::new([]).sized(), limits.bytes(0)).await, Drained::Complete);
}

#[tokio::test(start_paused = true)]
async fn empty_frames_do_not_go_on_for_ever() {
    assert_eq!(drain(Script::new(vec![Data(""); 7]), DrainLimits::new().bytes(6)).await, Drained::TooLong);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_is_given_up_after_50_ms() {
    let start = Instant::now();
    assert_eq!(drain(Script::new([Data("a"), Stall]), DrainLimits::default()).await, Drained::TimedOut);
    assert!((50..55).contains(&start.elapsed().as_millis()), "tokio's timer counts whole milliseconds");
}

#[tokio::test(start_paused = true)]
async fn without_time_only_what_is_there_is_read() {
    let limits = DrainLimits::new().time(Duration::ZERO);
    assert_eq!(drain(Script::new([Data("a"), Data("b")]), limits).await, Drained::Complete);
    assert_eq!(drain(Script::new([Data("a"), Pending, Data("b")]), limits).await, Drained::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_told() {
    assert_eq!(drain(Script::new([Data("a"), Error]), DrainLimits::new()).await, Drained::Failed);
}

#[test]
fn a_body_in_memory_needs_no_timer_and_no_runtime() {
    let mut drain = tokio_test::task::spawn(Drain::new(Script::new([Data("a"), Trailers]), DrainLimits::new()));
    assert_eq!(drain.poll(), Poll::Ready(Drained::Complete));
}
