use std::time::Duration;

use proptest::prelude::*;
use tower::Layer;
use towline_retry::RetryLayer;

use crate::support::{Answer, ask, provider, status, with_headers};

/// How long a provider that says so once is left alone; `None` if it is not asked again.
async fn wait_after(layer: &RetryLayer, told: impl Fn() -> Answer + Clone) -> Option<Duration> {
    let (log, provider) = provider(move |nth| if nth == 1 { told() } else { status(200) });
    let _ = ask(layer.layer(provider)).await;
    log.waits().first().copied()
}

/// Asserts that the wait lies between `least` and `most` seconds, for many draws.
async fn assert_waits(headers: &'static [(&'static str, &'static str)], least: f64, most: f64) {
    for seed in 0..50 {
        let layer = RetryLayer::new().seed(seed);
        let wait = wait_after(&layer, || with_headers(429, headers)).await.unwrap().as_secs_f64();
        assert!(least <= wait && wait <= most + 0.0011, "{headers:?}: {wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_tells_is_obeyed_and_what_is_no_number_is_not() {
    assert_waits(&[("retry-after", "1.5")], 1.5, 1.9).await;
    assert_waits(&[("retry-after", "20")], 20.0, 22.25).await;
    assert_waits(&[("retry-after", "60")], 60.0, 65.0).await;
    assert_waits(&[("retry-after", "0")], 0.0, 0.25).await;
    assert_waits(&[("retry-after-ms", "700")], 0.7, 1.02).await;
    assert_waits(&[("retry-after-ms", "0"), ("retry-after", "2")], 2.0, 2.45).await;
    assert_waits(&[("retry-after", "2"), ("retry-after", "5")], 5.0, 5.75).await;
    assert_waits(&[("retry-after", "5"), ("retry-after", "-3")], 5.0, 5.75).await;
    // No hint: the backoff of a throttled provider, up to one second.
    for garbage in [
        &[("retry-after", "-3")],
        &[("retry-after", "NaN")],
        &[("retry-after", "inf")],
        &[("retry-after", "1e9")],
        &[("retry-after", "")],
    ] {
        assert_waits(garbage, 0.0, 1.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_counts_from_the_providers_own_clock_and_one_in_the_past_asks_for_no_wait() {
    const DATE: &str = "Sat, 21 Nov 2026 12:00:00 GMT";
    assert_waits(&[("date", DATE), ("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT")], 30.0, 33.25).await;
    assert_waits(&[("date", DATE), ("retry-after", "Sat, 21 Nov 2026 11:00:00 GMT")], 0.0, 0.25).await;
    assert_waits(&[("retry-after", "Fri, 21 Nov 1986 12:00:00 GMT")], 0.0, 0.25).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_our_patience_is_handed_on_at_once_with_what_was_told() {
    let layer = RetryLayer::new();
    for told in ["61", "86400", "999999999"] {
        let (log, provider) = provider(move |_| with_headers(429, &[("retry-after", told)]));
        let (answer, took) = ask(layer.layer(provider)).await;
        assert_eq!((log.count(), took), (1, Duration::ZERO));
        assert_eq!(answer.unwrap().headers()["retry-after"], told);
    }
    let patient = layer.max_server_delay(Duration::from_secs(86_400));
    assert!(wait_after(&patient, || with_headers(429, &[("retry-after", "61")])).await >= Some(Duration::from_secs(61)));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_who_were_told_the_same_do_not_come_back_together_and_none_early() {
    let (log, provider) = provider(|nth| if nth <= 200 { with_headers(429, &[("retry-after", "20")]) } else { status(200) });
    let client = RetryLayer::new().without_budget().seed(7).layer(provider);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        callers.spawn(ask(client.clone()));
    }
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().0.unwrap().status(), 200);
    }
    let times = log.times();
    let mut waits: Vec<_> = times[200..].iter().map(|at| *at - times[0]).collect();
    assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(20)));
    waits.sort();
    // Spread over 2.25 s: each tenth of that has its share of about twenty.
    for tenth in 0..10 {
        let from = Duration::from_secs(20) + Duration::from_millis(225) * tenth;
        let share = waits.iter().filter(|wait| (from..from + Duration::from_millis(225)).contains(wait)).count();
        assert!((5..=40).contains(&share), "{share} in tenth {tenth}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_number_of_seconds_is_waited_for_and_not_much_longer(whole in 0..90_u32, fraction in proptest::option::of("[0-9]{1,12}"), seed: u64) {
        let value = fraction.map_or(whole.to_string(), |fraction| format!("{whole}.{fraction}"));
        let told: f64 = value.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let layer = RetryLayer::new().seed(seed);
        let wait = runtime.block_on(wait_after(&layer, || with_headers(429, &[("retry-after", &value)])));
        match wait.map(|wait| wait.as_secs_f64()) {
            None => prop_assert!(told > 60.0, "{} is not too long", told),
            Some(wait) => {
                let most = told + f64::min(told / 10.0 + 0.25, 5.0);
                // The timer is as fine as a millisecond, and rounds up.
                prop_assert!(told <= 60.0 && told - 1e-9 <= wait && wait <= most + 0.0011, "{} after {}", wait, told);
            }
        }
    }
}
