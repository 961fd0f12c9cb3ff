use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderName;
use tower::{Layer, ServiceExt};
use towline_core::{Failure, FailureKind, Outcome, Phase, RetryVerdict, Target};
use towline_retry::RetryLayer;

use crate::support::{Answer, Listener, ask, classified, error, provider, request, status, text, with_headers};

/// How often a provider is asked that gives this answer each time.
async fn sent(layer: &RetryLayer, answer: fn() -> Answer) -> usize {
    let (log, provider) = provider(move |_| answer());
    let _ = ask(layer.layer(provider)).await;
    log.count()
}

#[tokio::test(start_paused = true)]
async fn three_attempts_are_made_and_the_last_answer_is_handed_on_as_it_is() {
    let (log, provider) = provider(|nth| with_headers(503, &[("x-nth", &nth.to_string())]));
    let response = ask(RetryLayer::new().layer(provider)).await.0.unwrap();
    assert_eq!((log.count(), response.status().as_u16()), (3, 503));
    assert_eq!(response.headers()["x-nth"], "3");
    assert_eq!(text(response).await, "an answer");
}

#[tokio::test(start_paused = true)]
async fn a_targets_own_number_of_attempts_counts_in_the_place_of_the_layers() {
    for (layers, own, sent) in [(3, 1, 1), (1, 4, 4), (2, 2, 2)] {
        let (log, provider) = provider(|_| status(503));
        let mut request = request();
        request.extensions_mut().insert(Target::new("t", "http://host").unwrap().with_attempts(NonZeroU32::new(own).unwrap()));
        let answer = RetryLayer::new().attempts(layers).unwrap().layer(provider).oneshot(request).await;
        assert_eq!((answer.unwrap().status().as_u16(), log.count()), (503, sent), "{layers} and {own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_is_the_answer() {
    let (log, provider) = provider(|nth| if nth == 1 { status(500) } else { status(200) });
    let (answer, took) = ask(RetryLayer::new().layer(provider)).await;
    assert_eq!((log.count(), answer.unwrap().status().as_u16()), (2, 200));
    assert!(took <= Duration::from_millis(501), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_sent_once() {
    let layer = RetryLayer::new();
    assert_eq!(sent(&layer, || status(200)).await, 1);
    assert_eq!(sent(&layer, || status(400)).await, 1);
    assert_eq!(sent(&layer, || status(401)).await, 1);
    assert_eq!(sent(&layer, || status(402)).await, 1);
    assert_eq!(sent(&layer, || status(403)).await, 1);
    assert_eq!(sent(&layer, || status(404)).await, 1);
    assert_eq!(sent(&layer, || status(413)).await, 1);
    assert_eq!(sent(&layer, || status(422)).await, 1);
    assert_eq!(sent(&layer, || status(501)).await, 1);
    assert_eq!(
        sent(&layer, || error(Failure::new(FailureKind::Connect).retry(RetryVerdict::Never))).await,
        1,
        "a rejected certificate"
    );
}

#[tokio::test(start_paused = true)]
async fn our_own_refusals_and_the_callers_mistakes_are_never_retried() {
    let layer = RetryLayer::new();
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::CircuitOpen).retry_after(Duration::from_secs(1)))).await, 1);
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::LimitedLocally).retry_after(Duration::ZERO))).await, 1);
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::DeadlineExceeded))).await, 1);
    let uri = || Err(http::Request::get("no uri").body(()).unwrap_err().into());
    assert_eq!(sent(&layer, uri).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_or_a_conflict_is_tried_once_more_and_not_oftener() {
    let layer = RetryLayer::new().attempts(5).unwrap();
    assert_eq!(sent(&layer, || status(408)).await, 2);
    assert_eq!(sent(&layer, || status(409)).await, 2);
    assert_eq!(sent(&layer, || status(429)).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_is_not_asked_twice() {
    let layer = RetryLayer::new();
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::Timeout(Phase::Head)))).await, 1);
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::Timeout(Phase::FirstContent)))).await, 1);
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::Timeout(Phase::Total)))).await, 1);
    assert_eq!(sent(&layer, || error(Failure::new(FailureKind::Timeout(Phase::Connect)))).await, 3, "it was not even asked");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_is_sent_again_at_once_and_for_free() {
    let refused = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
    let (log, client) = provider(move |_| refused());
    let layer = RetryLayer::new().budget(towline_core::RetryBudget::new(0.1, 10, 2).unwrap());
    let answer = ask(layer.layer(client)).await.0;
    assert_eq!(answer.unwrap_err().kind(), FailureKind::Connect);
    assert_eq!(log.count(), 4, "one was free, and two were paid for");
    assert_eq!(log.waits()[0], Duration::ZERO);
    assert_eq!(
        sent(&layer, move || Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())).await,
        2,
        "free, whatever the budget"
    );
    assert_eq!(
        sent(&RetryLayer::new().attempts(1).unwrap(), move || Err(
            std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
        ))
        .await,
        1
    );
}

#[test]
fn a_retry_without_a_wait_needs_no_timer() {
    let (log, client) = provider(|nth| if nth == 1 { error(Failure::new(FailureKind::Connect)) } else { status(200) });
    let mut call = tokio_test::task::spawn(RetryLayer::new().layer(client).oneshot(request()));
    assert!(call.poll().is_ready(), "outside of any runtime");
    assert_eq!(log.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_classify_says_goes_before_the_status() {
    let layer = RetryLayer::new();
    assert_eq!(sent(&layer, || classified(200, Outcome::Failure(Failure::new(FailureKind::Overloaded)))).await, 3);
    assert_eq!(sent(&layer, || classified(503, Outcome::Success)).await, 1);
    assert_eq!(sent(&layer, || classified(429, Outcome::Failure(Failure::new(FailureKind::QuotaExhausted)))).await, 1);
    assert_eq!(sent(&layer, || classified(503, Outcome::Aborted)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_providers_own_word_decides_where_it_speaks_of_this_request() {
    let layer = RetryLayer::new();
    assert_eq!(sent(&layer, || with_headers(500, &[("x-should-retry", "false")])).await, 1);
    assert_eq!(sent(&layer, || with_headers(501, &[("x-should-retry", "true")])).await, 3);
    assert_eq!(sent(&layer, || with_headers(400, &[("x-should-retry", "true")])).await, 1);
    assert_eq!(
        sent(&layer, || with_headers(429, &[("x-should-retry", "true"), ("retry-after", "1296000")])).await,
        1,
        "fifteen days"
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_gives_a_failure_its_own_number_of_attempts() {
    let layer = RetryLayer::new().table(|failure| match failure.kind {
        FailureKind::RateLimited => Some(0),
        FailureKind::Timeout(_) => Some(2),
        FailureKind::ServerError => Some(5),
        FailureKind::InvalidRequest => Some(9),
        _ => None,
    });
    assert_eq!(sent(&layer, || status(429)).await, 1);
    assert_eq!(
        sent(&layer, || error(Failure::new(FailureKind::Timeout(Phase::Head)))).await,
        2,
        "silence, by the user's own word"
    );
    assert_eq!(sent(&layer, || status(500)).await, 5);
    assert_eq!(sent(&layer, || status(503)).await, 3);
    assert_eq!(sent(&layer, || status(400)).await, 1, "a table makes nothing worth a retry that is not");
    let layer = layer.attempts(1).unwrap().without_budget();
    assert_eq!((sent(&layer, || status(500)).await, sent(&layer, || status(503)).await), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn the_retry_count_header_counts_retries() {
    let (log, provider) = provider(|_| status(503));
    let layer = RetryLayer::new().retry_count_header(HeaderName::from_static("x-retry-count"));
    let _ = ask(layer.layer(provider)).await;
    let counts: Vec<_> = (0..3).map(|nth| log.header(nth, "x-retry-count")).collect();
    assert_eq!(counts, [None, Some("1".into()), Some("2".into())]);
    assert_eq!(log.header(2, "x-api-key").as_deref(), Some("k"));
}

#[tokio::test(start_paused = true)]
async fn waits_keep_below_ceilings_that_double_and_sooner_after_a_502() {
    for (code, ceilings) in [(500, [500, 1000, 2000, 4000]), (503, [1000, 2000, 4000, 8000]), (502, [100, 200, 400, 800])] {
        let mut longest = [Duration::ZERO; 4];
        for seed in 0..200 {
            let (log, provider) = provider(move |_| status(code));
            let layer = RetryLayer::new().attempts(5).unwrap().seed(seed);
            let _ = ask(layer.layer(provider)).await;
            longest.iter_mut().zip(log.waits()).for_each(|(longest, wait)| *longest = wait.max(*longest));
        }
        for (longest, ceiling) in longest.into_iter().zip(ceilings.map(Duration::from_millis)) {
            // The timer is as fine as a millisecond.
            assert!(
                longest <= ceiling + Duration::from_millis(1) && longest > ceiling * 9 / 10,
                "{code}: {longest:?} of {ceiling:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_attempts_neither_overflow_nor_lose_their_jitter() {
    let (log, provider) = provider(|_| status(500));
    let ms = Duration::from_millis;
    let layer = RetryLayer::new().attempts(10_000).unwrap().without_budget().backoff(ms(10), ms(1000)).unwrap();
    let _ = ask(layer.layer(provider)).await;
    assert_eq!(log.count(), 10_000);
    let waits = log.waits();
    let late = &waits[waits.len() - 1000..];
    assert!(late.iter().any(|wait| *wait < ms(100)) && late.iter().any(|wait| *wait > ms(900)));
    assert!(late.iter().all(|wait| *wait <= ms(1001)));
}

#[tokio::test(start_paused = true)]
async fn configuration_that_makes_no_sense_is_refused_by_name() {
    let ms = Duration::from_millis;
    assert_eq!(RetryLayer::new().attempts(0).unwrap_err().field(), "attempts");
    assert_eq!(RetryLayer::new().backoff(ms(8000), ms(500)).unwrap_err().field(), "cap");
    assert_eq!(RetryLayer::new().throttle_backoff(ms(0), ms(500)).unwrap_err().field(), "base");
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_told_of_each_step() {
    let listener = Listener::default();
    let (_, client) = provider(|nth| if nth < 3 { status(503) } else { status(400) });
    let layer = RetryLayer::new().observer(Arc::new(listener.clone()));
    let _ = ask(layer.layer(client)).await;
    let expected = [
        "1 failed, overloaded",
        "2 comes, overloaded",
        "2 failed, overloaded",
        "3 comes, overloaded",
        "3 failed, invalid_request",
        "stopped at 3, NotRetryable",
    ];
    assert_eq!(listener.heard(), expected);

    let listener = Listener::default();
    let (_, client) = provider(|nth| status(if nth == 1 { 503 } else { 200 }));
    let _ = ask(RetryLayer::new().observer(Arc::new(listener.clone())).layer(client)).await;
    assert_eq!(listener.heard(), ["1 failed, overloaded", "2 comes, overloaded", "2 succeeded"]);
}
