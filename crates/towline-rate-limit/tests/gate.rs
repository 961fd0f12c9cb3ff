//! What answers tell: a 429 stops everybody, and headers lower what we believe is left.

mod common;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use common::{to, tokens::*};
use http::Request;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use towline_core::{Call, Facts, Failure, FailureKind, Observer, StreamEnd};
use towline_rate_limit::{Dimension as D, Limits, Profile};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn told(headers: &[(&'static str, &str)]) -> Answer {
    Answer { headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), told: None, ..answer(0, 0) }
}

fn stop(after: &str) -> Answer {
    Answer { status: 429, ..told(&[("retry-after", after)]) }
}

#[tokio::test(start_paused = true)]
async fn edge_4_after_one_429_a_thousand_callers_hold_back_and_none_is_over_the_limit_again() {
    let provider = Provider::new([stop("2")]);
    let layer = whole(Limits::none().requests_per_minute(few(600))).share(0.95).unwrap().max_wait(ms(200_000)).queue(1000);
    let (handle, service) = (layer.handle(), layer.layer(provider.clone()));
    service.clone().oneshot(Request::new(0)).await.unwrap();
    let began = Instant::now();
    assert_eq!(handle.closed_for(None), ms(2000));
    let calls: Vec<_> = (0..1000).map(|_| tokio::spawn(service.clone().oneshot(Request::new(0)))).collect();
    tokio::time::sleep(ms(1999)).await;
    assert_eq!((provider.asked().len(), handle.waiting(None)), (1, 1000), "nobody within the two seconds");
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    let asked = provider.asked();
    assert_eq!(asked.len(), 1001);
    assert!(asked[1] - began > ms(2100) && asked[2] - asked[1] > ms(140), "spread, at seven tenths of the rate");
    assert!(most_within(&asked, ms(1000)) <= 10 && most_within(&asked, ms(60_000)) <= 570);
    // 1000 at 9.5 a second, and nine seconds' worth that were lost while it was slow.
    assert!(began.elapsed() < ms(2000 + 105_300 + 9000 + 500), "{:?}", began.elapsed());
    assert_eq!(handle.waiting(None), 0);
}

#[tokio::test(start_paused = true)]
async fn a_429_stops_all_of_its_target_for_its_hint_or_five_seconds_and_nobody_elses() {
    for (answer, pause) in [(stop("2"), 2000), (Answer { status: 429, ..told(&[]) }, 5000), (stop("86400"), 600_000)] {
        let layer = whole(Limits::none().requests_per_minute(few(600))).max_wait(ms(0));
        let (handle, service) = (layer.handle(), layer.layer(Provider::new([answer])));
        service.clone().oneshot(to("a")).await.unwrap();
        let error = service.clone().oneshot(to("a")).await.unwrap_err();
        assert!(error.failure().hint.retry_after > Some(ms(pause)), "{error}");
        assert_eq!((handle.closed_for(Some("a")), handle.closed_for(Some("b"))), (ms(pause), ms(0)));
        service.clone().oneshot(to("b")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_was_full_slows_down_next_to_nothing_with_azures_profile_alone() {
    // A tenth of a second for the next one, at seven tenths of the speed or nearly all of it.
    for (profile, after, wait) in
        [(Profile::Azure, "1", 1000 + 103), (Profile::Azure, "2", 2000 + 142), (Profile::OpenAi, "1", 1000 + 142)]
    {
        let layer = whole(Limits::none().requests_per_minute(few(600))).profile(profile).max_wait(ms(0));
        let service = layer.layer(Provider::new([stop(after)]));
        service.clone().oneshot(Request::new(0)).await.unwrap();
        let refused = service.oneshot(Request::new(0)).await.unwrap_err();
        let told = refused.failure().hint.retry_after.unwrap();
        assert!(told > ms(wait) && told < ms(wait + 1), "{profile:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_failure_stops_anybody_and_a_429_within_a_stream_does() {
    let within = StreamEnd::Failed(Failure::new(FailureKind::RateLimited).retry_after(ms(700)));
    for (answer, closed) in [
        (Answer { status: 503, ..told(&[("retry-after", "2")]) }, ms(0)),
        (Answer { status: 500, ..told(&[]) }, ms(0)),
        (Answer { end: within, ..told(&[]) }, ms(700)),
    ] {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000)));
        let response = layer.layer(Provider::new([answer])).oneshot(asks(1, 1)).await.unwrap();
        drop(response.into_body().collect().await);
        assert_eq!(layer.handle().closed_for(None), closed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_when_it_closes_and_would_wait_too_long_is_refused_with_the_wait() {
    let provider = Provider::new([told(&[]), stop("60")]);
    let layer = whole(Limits::none().requests_per_minute(few(60))).max_wait(ms(10_000));
    let service = layer.layer(provider.clone());
    let calls: Vec<_> = (0..4).map(|_| tokio::spawn(service.clone().oneshot(Request::new(0)))).collect();
    let mut refused = Vec::new();
    for call in calls {
        refused.push(call.await.unwrap().err().and_then(|error| error.failure().hint.retry_after));
    }
    assert_eq!(provider.asked().len(), 2);
    assert!(refused[..2].iter().all(Option::is_none) && refused[2..].iter().all(|wait| *wait > Some(ms(59_000))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_once_when_the_gate_closes_when_it_stays_closed_longer_and_when_the_first_passes() {
    let observed = Arc::new(common::Told::default());
    let layer = whole(Limits::none().requests_per_minute(few(6000)));
    let layer = layer.max_wait(ms(60_000)).observer(Observer::from(Arc::clone(&observed)));
    // Three are under way, and who went last is told to stop first; the next is told no longer time, and the last one is.
    let service = layer.layer(Late(Provider::new([stop("3"), stop("1"), stop("2")])));
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(service.clone().oneshot(to("a")))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 429);
    }
    assert_eq!(*observed.0.lock(), ["a closed 2s", "a closed 3s"]);
    observed.0.lock().clear();
    for _ in 0..2 {
        service.clone().oneshot(to("a")).await.unwrap();
    }
    // A hundredth of a second for the token, at little more than seven tenths of the speed.
    assert_eq!(observed.0.lock()[..2], ["a waits 3.014284986s", "a opened"]);
    assert_eq!(observed.0.lock().iter().filter(|told| told.ends_with("opened")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_line_when_the_gate_closes_for_longer_than_it_has_time_is_refused_at_once_and_the_others_stay() {
    let provider = Provider::new([told(&[]), stop("20")]);
    let layer = whole(Limits::none().requests_per_minute(few(60))).max_wait(ms(60_000));
    let (handle, service) = (layer.handle(), layer.layer(provider.clone()));
    let began = Instant::now();
    let call = |left: u64| tokio::spawn(service.clone().oneshot(common::within(ms(left))));
    // The second is told to stop after a second. Of those behind it the first, the third and the last have time.
    let calls: Vec<_> = [60_000, 60_000, 50_000, 10_000, 50_000, 15_000, 7_000, 50_000].map(call).into();
    tokio::time::sleep(ms(1001)).await;
    assert_eq!((provider.asked().len(), handle.waiting(None), handle.closed_for(None)), (2, 3, ms(19_999)));
    let mut refused = Vec::new();
    for (nth, call) in calls.into_iter().enumerate() {
        if let Err(error) = call.await.unwrap() {
            assert!(
                error.kind() == FailureKind::LimitedLocally && error.failure().hint.retry_after > Some(ms(19_000)),
                "{error}"
            );
            refused.push(nth);
        }
    }
    assert_eq!(refused, [3, 5, 6]);
    assert!(began.elapsed() < ms(30_000), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_429_closes_the_gate_of_its_own_key_alone() {
    let layer = whole(Limits::none().requests_per_minute(few(600))).max_wait(ms(0));
    let layer = layer.key(|head| head.headers.get("x-tenant")?.to_str().ok().map(Into::into));
    let service = layer.layer(Provider::new([stop("2")]));
    let of = |tenant: &'static str| {
        let mut request = to("a");
        request.headers_mut().insert("x-tenant", http::HeaderValue::from_static(tenant));
        request
    };
    service.clone().oneshot(of("one")).await.unwrap();
    service.clone().oneshot(of("one")).await.unwrap_err();
    service.oneshot(of("two")).await.unwrap();
    assert_eq!((layer.handle().closed_for(Some("one")), layer.handle().closed_for(Some("two"))), (ms(2000), ms(0)));
}

#[tokio::test(start_paused = true)]
async fn headers_lower_what_is_left_by_the_one_exhausted_dimension_and_never_raise_it() {
    let limits = Limits::none().requests_per_minute(few(6000)).tokens_per_minute(n(60_000));
    let (requests, tokens) = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens");
    for (headers, left) in [
        ([(requests, "5000"), (tokens, "50000")], (99, 2980)),
        ([(requests, "90"), (tokens, "50")], (99, 50)),
        ([(requests, "7"), (tokens, "2000")], (7, 2980)),
        ([(requests, "garbage"), (tokens, "-5")], (99, 2980)),
    ] {
        let layer = whole(limits);
        layer.layer(Provider::new([told(&headers)])).oneshot(asks(10, 10)).await.unwrap();
        let handle = layer.handle();
        assert_eq!((handle.left(None, D::Requests).unwrap(), handle.left(None, D::Tokens).unwrap()), left, "{headers:?}");
    }
}

/// Answers in the second poll, so that answers can be had out of order.
#[derive(Clone)]
struct Late(Provider);

impl Service<Request<usize>> for Late {
    type Response = http::Response<Told>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<usize>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async {
            tokio::task::yield_now().await;
            answer.await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn edge_27_older_answers_change_nothing_and_what_was_charged_since_counts() {
    let remaining = |left: &str| told(&[("x-ratelimit-remaining-tokens", left)]);
    let layer = whole(Limits::none().tokens_per_minute(n(60_000)));
    let (handle, service) = (layer.handle(), layer.layer(Late(Provider::new([remaining("0"), remaining("100")]))));
    let mut older = tokio_test::task::spawn(service.clone().oneshot(asks(100, 100)));
    let mut younger = tokio_test::task::spawn(service.clone().oneshot(asks(100, 100)));
    let mut since = tokio_test::task::spawn(service.oneshot(asks(20, 30)));
    assert!(older.poll().is_pending() && younger.poll().is_pending() && since.poll().is_pending());
    assert_eq!(handle.left(None, D::Tokens), Some(3000 - 450));
    let _younger = younger.await.unwrap();
    assert_eq!(handle.left(None, D::Tokens), Some(50), "100, less the 50 that were charged since");
    let _older = older.await.unwrap();
    assert_eq!(handle.left(None, D::Tokens), Some(50));
}

#[tokio::test(start_paused = true)]
async fn edge_27_a_number_that_is_rounded_to_the_thousand_is_taken_for_up_to_half_a_thousand_more() {
    for (profile, remaining, left) in
        [(Profile::Anthropic, "2000", 2500), (Profile::Anthropic, "2001", 2001), (Profile::Any, "2000", 2000)]
    {
        let answer = told(&[("anthropic-ratelimit-input-tokens-remaining", remaining)]);
        let layer = whole(Limits::none().input_tokens_per_minute(n(60_000))).profile(profile);
        layer.layer(Provider::new([answer])).oneshot(asks(10, 10)).await.unwrap();
        assert_eq!(layer.handle().left(None, D::InputTokens), Some(left));
    }
}

#[tokio::test(start_paused = true)]
async fn edge_27_what_is_left_of_another_project_or_resource_tells_nothing() {
    let answer = told(&[("x-ratelimit-remaining-project-tokens", "0"), ("x-ratelimit-remaining-images", "0")]);
    let layer = whole(Limits::none().tokens_per_minute(n(60_000)).requests_per_minute(few(600)));
    layer.layer(Provider::new([answer])).oneshot(asks(10, 10)).await.unwrap();
    assert_eq!((layer.handle().left(None, D::Tokens), layer.handle().left(None, D::Requests)), (Some(2980), Some(9)));
    let other = layer.layer(Provider::new([told(&[("x-ratelimit-remaining-tokens", "0")])]));
    other.oneshot(to("another")).await.unwrap();
    assert_eq!(layer.handle().left(None, D::Tokens), Some(2980));
}

/// Asks for `a`, whose gate is closed for so long, in a call that says so of the other targets.
#[allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]
async fn behind_a_gate(closed: &str, waits: bool, others: Option<u64>) -> (Result<u16, FailureKind>, u64) {
    let service = whole(Limits::none().requests_per_minute(few(600))).layer(Provider::new([stop(closed)]));
    service.clone().oneshot(to("a")).await.unwrap();
    let began = Instant::now();
    let call = Call::new(Facts::default(), began, None);
    call.set_alternative(waits);
    call.set_others_recover(others.map(|after| began + ms(after)));
    let mut request = to("a");
    request.extensions_mut().insert(call);
    let answer = service.oneshot(request).await;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap();
    (answer.map(|answer| answer.status().as_u16()).map_err(|error| error.kind()), took)
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_is_waited_at_for_two_seconds_at_most_while_another_target_waits() {
    let refused = (Err(FailureKind::LimitedLocally), 0);
    assert_eq!(behind_a_gate("20", true, None).await, refused, "and costs nothing");
    let (answer, took) = behind_a_gate("1", true, None).await;
    assert!(answer == Ok(200) && (1000..2000).contains(&took), "{took}");
    let (answer, took) = behind_a_gate("20", false, None).await;
    assert!(answer == Ok(200) && took >= 20_000, "nowhere else to go: {took}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_is_waited_at_no_longer_than_others_take_to_recover() {
    assert_eq!(behind_a_gate("20", false, Some(7000)).await, (Err(FailureKind::LimitedLocally), 0));
    let (answer, took) = behind_a_gate("6", false, Some(7000)).await;
    assert!(answer == Ok(200) && (6000..7000).contains(&took), "{took}");
}
