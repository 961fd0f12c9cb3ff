//! Futures and bodies that are dropped at random points, in great numbers: no permit is lost, and the circuit can recover.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use http_body::Body;
use tokio::time::advance;
use tower::{Layer, Service};
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState};
use towline_core::{BoxError, Jitter, StreamHandle};
use towline_testkit::Probe;

use crate::support::{Answer, SECOND, Step, Upstream, ask, layer, request};

const DROPS: u32 = 100_000;

/// Up to so many, by chance.
fn chance(jitter: &Jitter, most: u64) -> u64 {
    u64::try_from(jitter.up_to(Duration::from_nanos(most)).as_nanos()).unwrap()
}

fn any_answer(jitter: &Jitter) -> Answer {
    let ms = |jitter: &Jitter| Duration::from_millis(chance(jitter, 2000));
    let stream = |jitter: &Jitter, end| {
        let handle = (chance(jitter, 1) == 0).then(|| StreamHandle::new(tokio::time::Instant::now()));
        Answer::Stream(vec![Step::Data("a"), Step::Wait(ms(jitter)), Step::Data("b"), end], handle)
    };
    let answer = match chance(jitter, 6) {
        0 => Answer::Status(200),
        1 => Answer::Status(503),
        2 => Answer::Refused,
        3 => Answer::Hang,
        4 => stream(jitter, Step::Break),
        5 => stream(jitter, Step::Hang),
        _ => stream(jitter, Step::Data("c")),
    };
    if chance(jitter, 1) == 0 { answer } else { Answer::After(ms(jitter), Box::new(answer)) }
}

/// Polls so many times, a while apart, and then drops: within the call, or within the body.
async fn use_and_drop<S, R>(service: &mut S, polls: u64)
where
    S: Service<http::Request<http_body_util::Full<bytes::Bytes>>, Response = http::Response<R>, Error = towline_core::Error>,
    R: Body<Error = BoxError>,
{
    let (mut future, mut body) = (Some(Box::pin(service.call(request()))), None::<Pin<Box<R>>>);
    for _ in 0..polls {
        let over = poll_fn(|cx| {
            if let Some(body) = &mut body {
                return Poll::Ready(matches!(body.as_mut().poll_frame(cx), Poll::Ready(None | Some(Err(_)))));
            }
            match future.as_mut().map(|future| future.as_mut().poll(cx)) {
                Some(Poll::Ready(Ok(response))) => body = Some(Box::pin(response.into_body())),
                Some(Poll::Ready(Err(_))) | None => return Poll::Ready(true),
                Some(Poll::Pending) => {}
            }
            Poll::Ready(false)
        })
        .await;
        if body.is_some() {
            future = None;
        }
        if over {
            return;
        }
        advance(Duration::from_millis(500)).await;
    }
}

fn layers() -> [CircuitBreakerLayer; 3] {
    [
        layer(),
        layer().probes(3).unwrap().drops_after(SECOND).ramp(SECOND * 5).unwrap(),
        layer().slow_ratio(SECOND, 0.5, SECOND * 30, 5).unwrap().probe_deadline(SECOND * 2).unwrap(),
    ]
}

#[tokio::test(start_paused = true)]
async fn after_a_hundred_thousand_random_drops_no_permit_is_lost_and_it_recovers() {
    let jitter = Jitter::seeded(4);
    for layer in layers() {
        let upstream = Upstream::new(Answer::Status(200));
        let (probe, report) = Probe::with_limit(upstream.clone(), 4);
        let (service, handle) = (layer.layer(probe), layer.handle());
        let (mut opened, mut recovered) = (0, 0);
        let mut transitions = handle.transitions();
        for nth in 0..DROPS / 3 + 1 {
            upstream.answers(any_answer(&jitter));
            use_and_drop(&mut service.clone(), chance(&jitter, 6)).await;
            assert_eq!((report.reserved(), report.live()), (0, 0), "the {nth}th gave everything back");
            assert_eq!(handle.status(None).unwrap().probes, 0, "the {nth}th");
            if let (CircuitState::Open { retry_after }, 0) = (handle.state(None), chance(&jitter, 2)) {
                advance(retry_after).await;
            }
            if nth % 1000 == 0 {
                recovers(&layer, &upstream).await;
                recovered += 1;
            }
            while let Ok(Some(told)) = tokio::time::timeout(Duration::ZERO, transitions.next()).await {
                opened += u32::from(matches!(told.state, CircuitState::Open { .. }));
            }
        }
        assert!(opened > 100 && recovered > 30, "they were dropped in every state: {opened} {recovered}");
        report.assert_clean();
    }
}

/// A healthy provider closes it.
async fn recovers(layer: &CircuitBreakerLayer, upstream: &Upstream) {
    upstream.answers(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    for _ in 0..10 {
        if let CircuitState::Open { retry_after } = layer.handle().state(None) {
            advance(retry_after).await;
        }
        let _ = ask(&service).await;
        advance(SECOND * 5).await;
    }
    ask(&service).await.unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}
