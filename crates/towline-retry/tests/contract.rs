//! The contract of tower, at each point where a call can wait.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{BoxError, RetryBudget};
use towline_retry::RetryLayer;
use towline_testkit::{BodyReport, Gate, Probe, ScriptedBody, counted};

fn request() -> Request<Full<Bytes>> {
    Request::new(Full::from("{}"))
}

fn answer(status: u16, body: ScriptedBody) -> Result<Response<ScriptedBody>, BoxError> {
    Ok(Response::builder().status(status).body(body)?)
}

/// Where a call stands: what lets it go on to there, and what it holds there.
struct Point<'a> {
    what: &'a str,
    enter: &'a dyn Fn(),
    wait: Duration,
    tokens: f64,
    body_alive: bool,
    calls_alive: usize,
    calls: usize,
}

/// Leads a call from one point where it waits to the next, drops it at the one with this number, and looks at what is left.
async fn dropped_at(last: usize) {
    let (gate, body) = (Gate::new(), Arc::new(Mutex::new(None::<BodyReport>)));
    let service = service_fn(|_: Request<Full<Bytes>>| {
        let (gate, body) = (gate.clone(), Arc::clone(&body));
        async move {
            if body.lock().is_some() {
                std::future::pending::<()>().await;
            }
            gate.pass().await;
            let silent = ScriptedBody::new().hang();
            *body.lock() = Some(silent.report());
            answer(503, silent)
        }
    });
    let (service, report) = Probe::with_limit(service, 1);
    let (budget, second) = (RetryBudget::default(), Duration::from_secs(1));
    let layer = RetryLayer::new().budget(budget.clone()).throttle_backoff(second, second).unwrap().seed(2);
    let mut client = layer.layer(service);
    let mut call = tokio_test::task::spawn(client.ready().await.unwrap().call(request()));

    let nothing = || ();
    let (answer, full, room) = (|| gate.open(), || report.set_ready(false), || report.set_ready(true));
    let point = |what, enter, wait, tokens, body_alive, calls_alive, calls| Point {
        what,
        enter,
        wait: Duration::from_millis(wait),
        tokens,
        body_alive,
        calls_alive,
        calls,
    };
    let points: [Point<'_>; 5] = [
        point("the first attempt", &nothing, 0, 10.0, false, 1, 1),
        point("draining", &answer, 0, 9.0, true, 0, 1),
        point("sleeping", &full, 51, 9.0, false, 0, 1),
        point("getting ready", &nothing, 1000, 9.0, false, 0, 1),
        point("the second attempt", &room, 0, 9.0, false, 1, 2),
    ];
    for point in points.into_iter().take(last + 1) {
        (point.enter)();
        advance(point.wait).await;
        assert!(call.poll().is_pending(), "{}", point.what);
        assert!(!call.is_woken(), "{}: it must not wake itself", point.what);
        assert_eq!(budget.tokens(), point.tokens, "{}", point.what);
        assert_eq!(body.lock().as_ref().is_some_and(|body| !body.is_dropped()), point.body_alive, "{}", point.what);
        assert_eq!((report.live(), report.reserved(), report.calls()), (point.calls_alive, 0, point.calls), "{}", point.what);
    }
    let sent = report.calls();
    drop(call);
    room();
    gate.open();
    advance(second * 60).await;
    assert_eq!((report.live(), report.reserved(), report.calls()), (0, 0, sent), "nothing is left, and nothing sent any more");
    assert_eq!(budget.tokens(), if sent == 1 { 10.0 } else { 9.0 }, "what was not sent costs nothing");
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_call_wakes_itself_nowhere_and_dropped_anywhere_gives_back_what_it_held() {
    for last in 0..5 {
        dropped_at(last).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_calls_a_service_that_was_readied_and_none_holds_its_place_while_it_waits() {
    let failing = service_fn(async |_: Request<Full<Bytes>>| answer(503, ScriptedBody::new().data("busy")));
    let (service, report) = Probe::with_limit(failing, 1);
    let client = RetryLayer::new().without_budget().layer(service);
    let (calls, polls) = counted(async {
        let (one, two, three) =
            tokio::join!(client.clone().oneshot(request()), client.clone().oneshot(request()), client.oneshot(request()));
        assert!([one, two, three].into_iter().all(|answer| answer.unwrap().status() == 503));
    });
    calls.await;
    assert_eq!((report.calls(), report.completed(), report.peak(), report.reserved()), (9, 9, 1, 0));
    assert!(polls.get() <= 20, "{} polls for six sleeps", polls.get());
    report.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_readiness_fails_is_neither_polled_nor_called_again() {
    let failing = service_fn(async |_: Request<Full<Bytes>>| answer(503, ScriptedBody::new().data("busy")));
    let (service, report) = Probe::new(failing);
    let mut client = RetryLayer::new().layer(service);
    let call = client.ready().await.unwrap().call(request());
    report.fail_readiness(1);
    assert!(call.await.is_err());
    assert_eq!(report.calls(), 1);
    report.assert_clean();
}
