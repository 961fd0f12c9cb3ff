//! The line: who waits how long, in which order, and what the others have of those who leave.

mod common;

use std::{future::pending, num::NonZeroU32, sync::Arc, time::Duration};

use common::{Log, Told, burst, to, whole, within};
use http::{Request, Response};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, Service, ServiceExt};
use towline_core::{BoxError, Error, FailureKind, Observer};
use towline_rate_limit::{LimitedBody, Limits, RateLimit, RateLimitLayer};
use towline_testkit::{PollCount, counted};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Each request in a task of its own, all at once, in order.
async fn crowd(
    service: &RateLimit<Log>,
    numbers: std::ops::Range<usize>,
) -> Vec<JoinHandle<Result<Response<LimitedBody<String>>, Error>>> {
    let tasks = numbers.map(|n| tokio::spawn(service.clone().oneshot(Request::new(n)))).collect();
    tokio::task::yield_now().await;
    tasks
}

#[allow(clippy::unwrap_used, reason = "a test that is not refused has failed")]
fn refusal(result: Result<Response<LimitedBody<String>>, Error>) -> (FailureKind, Option<Duration>) {
    let failure = result.unwrap_err().failure().clone();
    (failure.kind, failure.hint.retry_after)
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_nobody_waits_for_those_who_left() {
    let log = Log::new();
    let layer = whole(600).burst(burst(1));
    let tasks = crowd(&layer.layer(log.clone()), 0..20).await;
    assert_eq!(layer.handle().waiting(None), 19);
    tokio::time::sleep(ms(250)).await;
    // The head of the line, two in the midst of it and the last one leave.
    for gone in [3, 7, 8, 19] {
        tasks[gone].abort();
    }
    tokio::time::sleep(ms(3000)).await;
    let served = [0, 1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
    let expected: Vec<_> = served.iter().enumerate().map(|(nth, n)| (u64::try_from(nth).unwrap() * 100, *n)).collect();
    assert_eq!(log.calls(), expected);
    assert_eq!(layer.handle().waiting(None), 0);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_pass_by_the_line() {
    let log = Log::new();
    let layer = whole(600).burst(burst(1));
    let mut service = layer.layer(log.clone());
    service.call(Request::new(0)).await.unwrap();
    let mut waiting = tokio_test::task::spawn(service.call(Request::new(1)));
    assert!(waiting.poll().is_pending());
    tokio::time::advance(ms(100)).await;
    // The token is there, but who waits for it has not been driven yet.
    let mut newcomer = tokio_test::task::spawn(service.call(Request::new(2)));
    assert!(newcomer.poll().is_pending());
    assert!(waiting.is_woken() && waiting.poll().is_ready());
    newcomer.await.unwrap();
    assert_eq!(log.calls(), [(0, 0), (100, 1), (200, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
    let log = Log::new();
    let layer = RateLimitLayer::requests_per_minute(NonZeroU32::new(600).unwrap());
    drop(crowd(&layer.layer(log.clone()), 0..12).await);
    tokio::time::sleep(ms(1000)).await;
    // 95 % of 10 a second: 9.5 at once, the tenth after half a token's time, rounded up to the timer's millisecond.
    let times: Vec<_> = log.calls().iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 0, 0, 0, 0, 0, 0, 0, 0, 53, 158, 264]);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_refused_at_once_and_charged_nothing() {
    let layer = whole(60).burst(burst(1)).max_wait(ms(1500));
    let mut service = layer.layer(Log::new());
    service.ready().await.unwrap().call(Request::new(0)).await.unwrap();
    let mut waiting = tokio_test::task::spawn(service.call(Request::new(1)));
    assert!(waiting.poll().is_pending());
    let began = Instant::now();
    let refused = refusal(service.call(Request::new(2)).await);
    assert_eq!(refused, (FailureKind::LimitedLocally, Some(ms(2000))), "one waits before it");
    assert_eq!(began.elapsed(), Duration::ZERO);
    waiting.await.unwrap();
    assert_eq!(began.elapsed(), ms(1000));
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_is_told_is_long_enough_to_the_nanosecond() {
    let layer = whole(7).burst(burst(1)).max_wait(Duration::ZERO);
    let service = layer.layer(Log::new());
    service.clone().oneshot(Request::new(0)).await.unwrap();
    let (_, wait) = refusal(service.clone().oneshot(Request::new(1)).await);
    let wait = wait.unwrap();
    assert_eq!(wait, Duration::from_nanos(60_000_000_000_u64.div_ceil(7)));
    tokio::time::advance(wait - Duration::from_nanos(1)).await;
    assert_eq!(layer.handle().available(None), 0);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(layer.handle().available(None), 1);
    service.clone().oneshot(Request::new(2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_line_refuses_with_the_wait() {
    let layer = whole(60).burst(burst(1)).queue(2);
    let service = layer.layer(Log::new());
    let tasks = crowd(&service, 0..3).await;
    assert_eq!(refusal(service.clone().oneshot(Request::new(3)).await), (FailureKind::LimitedLocally, Some(ms(3000))));
    tasks[1].abort();
    tokio::task::yield_now().await;
    service.clone().oneshot(Request::new(4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_would_miss_its_deadline_in_line_is_refused_at_once() {
    let layer = whole(60).burst(burst(1));
    let service = layer.layer(Log::new());
    service.clone().oneshot(within(Duration::ZERO)).await.unwrap();
    let error = service.clone().oneshot(within(ms(999))).await.unwrap_err();
    assert_eq!(error.failure().hint.retry_after, Some(ms(1000)));
    assert!(error.call().is_some(), "the error knows its call");
    let head = tokio::spawn(service.clone().oneshot(within(ms(1000))));
    tokio::task::yield_now().await;
    let began = Instant::now();
    let error = service.clone().oneshot(within(ms(1999))).await.unwrap_err();
    assert_eq!(error.failure().hint.retry_after, Some(ms(2000)), "behind another");
    assert_eq!(began.elapsed(), Duration::ZERO);
    head.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whose_deadline_passes_in_line_after_all_is_not_sent() {
    let log = Log::new();
    let service = whole(60).burst(burst(1)).layer(log.clone());
    service.clone().oneshot(Request::new(0)).await.unwrap();
    let mut late = tokio_test::task::spawn(service.clone().oneshot(within(ms(1500))));
    assert!(late.poll().is_pending());
    // Whoever drives it comes too late.
    tokio::time::advance(ms(1501)).await;
    assert_eq!(late.await.unwrap_err().kind(), FailureKind::DeadlineExceeded);
    service.clone().oneshot(Request::new(1)).await.unwrap();
    assert_eq!(log.calls(), [(0, 0), (1501, 1)], "and its token is there for the next");
}

#[tokio::test(start_paused = true)]
async fn whose_deadline_passes_behind_one_who_waits_longer_ends_then() {
    // One place for calls at once, and nobody knows when it will be free.
    let layer = RateLimitLayer::new(Limits::none().concurrency(burst(1)));
    let service = layer.layer(tower::service_fn(|request: Request<usize>| async move {
        if *request.body() == 0 { Ok::<_, BoxError>(Response::new(String::new())) } else { pending().await }
    }));
    let holder = tokio::spawn(service.clone().oneshot(Request::new(1)));
    let head = tokio::spawn(service.clone().oneshot(Request::new(0)));
    tokio::task::yield_now().await;
    let began = Instant::now();
    let error = service.clone().oneshot(within(ms(700))).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (FailureKind::DeadlineExceeded, ms(700)));
    assert_eq!(layer.handle().waiting(None), 1);
    holder.abort();
    head.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_serves_the_head_of_the_line_at_once() {
    let stuck = tower::service_fn(|request: Request<usize>| async move {
        if *request.body() == 0 { Ok::<_, BoxError>(Response::new(String::new())) } else { pending().await }
    });
    let layer = whole(1).burst(burst(1)).max_wait(ms(60_000));
    // One place beneath: number 0 is never readied while another holds it.
    let mut service = layer.layer(tower::limit::ConcurrencyLimit::new(stuck, 1));
    let mut holder = service.get_mut().clone();
    holder.ready().await.unwrap();
    let mut unready = tokio_test::task::spawn(service.call(Request::new(0)));
    assert!(unready.poll().is_pending());
    assert_eq!(layer.handle().available(None), 0);
    let (next, polls) = counted(service.call(Request::new(0)));
    let next = tokio::spawn(next);
    tokio::time::sleep(ms(5)).await;
    assert_eq!(layer.handle().waiting(None), 1);
    drop((unready, holder));
    let began = Instant::now();
    next.await.unwrap().unwrap();
    assert!(began.elapsed() < ms(2), "a minute it would have been");
    assert_eq!(polls.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_polled_once_for_each_thing_that_happens_to_it() {
    let service = whole(600).burst(burst(1)).layer(Log::new());
    let (tasks, polls): (Vec<_>, Vec<_>) = (0..100)
        .map(|n| {
            let (future, polls) = counted(service.clone().oneshot(Request::new(n)));
            (tokio::spawn(future), polls)
        })
        .unzip();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // It joins the line, becomes its head, and finds its token there.
    let polls: Vec<_> = polls.iter().map(PollCount::get).collect();
    assert!(polls.iter().all(|polls| *polls <= 3), "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_who_waits_and_who_is_refused() {
    let told = Arc::new(Told::default());
    let layer = whole(60).burst(burst(1)).queue(1).observer(Observer::from(Arc::clone(&told)));
    let service = layer.layer(Log::new());
    service.clone().oneshot(to("a")).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(to("a")));
    tokio::task::yield_now().await;
    refusal(service.clone().oneshot(to("a")).await);
    waiting.await.unwrap().unwrap();
    assert_eq!(*told.0.lock(), ["a waits 1s", "a rejected 2s"]);
}
