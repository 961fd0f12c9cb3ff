//! How it keeps tower's contract with the service beneath, when it is polled, and what it gives back when it is dropped.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_classify::ClassifyLayer;
use towline_core::FailureKind;
use towline_testkit::{Probe, ScriptedBody, counted};

const SECOND: Duration = Duration::from_secs(1);

/// The answers that take each path: passed, looked at, suspicious, read, held.
fn answers() -> Vec<Response<ScriptedBody>> {
    let answer =
        |status: u16, kind: &str, body| Response::builder().status(status).header("content-type", kind).body(body).unwrap();
    let slow = |pieces: [&'static str; 2]| ScriptedBody::new().wait(SECOND).data(pieces[0]).wait(SECOND).data(pieces[1]);
    vec![
        answer(200, "text/plain", slow(["a", "b"])),
        answer(200, "application/json", slow(["{\"choices\":[", "]}"])),
        answer(200, "application/json", slow(["{\"error\":{", "\"code\":500}}"])),
        answer(429, "application/json", slow(["{\"error\":{", "\"code\":429}}"])),
        answer(
            200,
            "text/event-stream",
            slow(["data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n", "data: [DONE]\n\n"]),
        ),
    ]
}

#[tokio::test]
async fn the_service_that_was_readied_is_the_one_that_is_called() {
    let (probe, report) = Probe::with_limit(
        service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(Response::new(ScriptedBody::new())) }),
        1,
    );
    let mut service = ClassifyLayer::new().layer(probe);
    for _ in 0..3 {
        service.ready().await.unwrap().call(support::request()).await.unwrap();
        service.clone().oneshot(support::request()).await.unwrap();
    }
    report.assert_clean();
    assert_eq!((report.calls(), report.reserved(), report.live()), (6, 0, 0));
    report.fail_readiness(1);
    let error = service.ready().await.err().unwrap();
    assert_eq!(error.kind(), FailureKind::Unknown, "an error of the service, as any other");
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_that_was_not_woken() {
    let layer = ClassifyLayer::new();
    // To begin, and once for each wait that is waited for.
    for (answer, expected) in answers().into_iter().zip([1, 2, 3, 3, 3]) {
        let body = answer.body().report();
        let (future, polls) = counted(support::serving(answer, &layer));
        let answer = future.await.unwrap();
        assert_eq!(polls.get(), expected);
        let (reading, polls) = counted(answer.into_body().collect());
        reading.await.unwrap();
        assert!(polls.get() + expected <= 4, "{} and {expected}", polls.get());
        assert!(body.polls() <= 5, "three polls with something, and one for each wait");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_it_gives_all_back() {
    for path in 0..answers().len() {
        for steps in 0..3 {
            let answer = answers().swap_remove(path);
            let body = answer.body().report();
            let mut answer = Some(answer);
            let (probe, report) = Probe::with_limit(
                service_fn(|_: Request<Empty<Bytes>>| {
                    let answer = answer.take();
                    async move {
                        tokio::time::sleep(SECOND).await;
                        answer.ok_or("asked twice")
                    }
                }),
                1,
            );
            let mut service = ClassifyLayer::new().layer(probe);
            let exchange = async {
                let answer = service.ready().await.unwrap().call(support::request()).await.unwrap();
                answer.into_body().collect().await.unwrap();
            };
            let whole = timeout(SECOND * steps + SECOND / 2, exchange).await.is_ok();
            assert!(!whole && body.is_dropped());
            assert_eq!((report.reserved(), report.live()), (0, 0));
            report.assert_clean();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_error_is_counted_from_its_first_wait() {
    let answer = answers().swap_remove(3);
    let began = Instant::now();
    let answer = support::serving(answer, &ClassifyLayer::new().read_up_to(1024, SECOND * 3 / 2)).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 3 / 2);
    assert_eq!(support::told(&answer), Some(FailureKind::RateLimited));
}
