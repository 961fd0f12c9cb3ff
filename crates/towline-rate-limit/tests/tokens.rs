//! Limits in tokens, with requests and concurrency: what is reserved, what is settled, and who is refused.

mod common;

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use common::tokens::*;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline_core::{BoxError, Call, Facts, FailureKind, StreamEnd, StreamHandle, Target, Usage};
use towline_rate_limit::{Dimension as D, Estimated, Limits, Profile, RateLimitLayer, RequestTooLarge};

const NOBODY_WAITS: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn edge_22_a_cost_above_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() {
    let layer = whole(Limits::none().tokens_per_minute(n(6000))).token_burst(n(300));
    let service = layer.layer(Provider::new([]));
    let began = Instant::now();
    service.clone().oneshot(asks(100, 100)).await.unwrap();
    service.clone().oneshot(asks(400, 600)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2), "until the 200 had come in");
    service.oneshot(asks(1, 1)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(2000 + 7020), "1000 less the 300 that were there, and its own 2");
}

#[tokio::test(start_paused = true)]
async fn edge_22_a_cost_above_the_limit_fails_at_once_and_says_so() {
    let layer = whole(Limits::none().input_tokens_per_minute(n(30_000)));
    let service = layer.layer(Provider::new([]));
    let error = service.oneshot(asks(30_001, 1)).await.unwrap_err();
    assert_eq!((error.kind(), error.failure().hint.retry_after), (FailureKind::LimitedLocally, None));
    let why: &RequestTooLarge = error.source().unwrap().downcast_ref().unwrap();
    assert_eq!(why.to_string(), "the request alone costs 30001 of 30000 input tokens a minute");
    assert_eq!(layer.handle().left(None, D::InputTokens), Some(1500), "three seconds' worth, all there");
}

#[tokio::test(start_paused = true)]
async fn edge_22_what_is_not_known_is_taken_from_answers_so_far_and_costs_one_token_at_least() {
    let layer = whole(Limits::none().input_tokens_per_minute(n(60_000)).output_tokens_per_minute(n(60_000)));
    let handle = layer.handle();
    let service = layer.layer(Provider::new([]));
    let left = || (handle.left(None, D::InputTokens).unwrap(), handle.left(None, D::OutputTokens).unwrap());
    service.clone().oneshot(Request::new(0)).await.unwrap();
    assert_eq!(left(), (2999, 3000 - 1024), "a request that says nothing at all");
    service.clone().oneshot(asks(0, 0)).await.unwrap();
    assert_eq!(left(), (2998, 3000 - 1024), "and one whose answer may have no tokens");
    let several = layer.clone().estimator(|_: &http::Extensions| Estimated { input: Some(7), max_output: Some(3 * 20) });
    several.layer(Provider::new([])).oneshot(asks(5, 20)).await.unwrap();
    assert_eq!(several.handle().left(None, D::OutputTokens), Some(3000 - 60), "three choices of twenty");
    assert_eq!(several.handle().left(None, D::InputTokens), Some(3000 - 7));
}

#[tokio::test(start_paused = true)]
async fn edge_23_what_one_dimension_denies_leaves_the_others_untouched() {
    let limits = Limits::none().requests_per_minute(few(600)).tokens_per_minute(n(6000)).tokens_per_day(n(90_000));
    let layer = whole(limits).max_wait(NOBODY_WAITS).burst(few(10));
    let (handle, service) = (layer.handle(), layer.layer(Provider::new([])));
    service.clone().oneshot(asks(200, 100)).await.unwrap();
    let left = || [D::Requests, D::Tokens, D::TokensPerDay].map(|dimension| handle.left(None, dimension).unwrap());
    assert_eq!(left(), [9, 0, 8700]);
    let refused = service.oneshot(asks(1, 1)).await.unwrap_err();
    assert_eq!(refused.failure().hint.retry_after, Some(Duration::from_millis(20)));
    assert_eq!(left(), [9, 0, 8700]);
}

#[test]
fn edge_23_reservations_that_race_never_take_more_than_there_is() {
    let limits = Limits::none().requests_per_minute(few(600)).tokens_per_minute(n(600)).requests_per_day(few(100_000));
    let layer = whole(limits).max_wait(NOBODY_WAITS).burst(few(1000)).token_burst(n(1000));
    let served = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let service = layer.layer(Provider::new([]));
                for _ in 0..300 {
                    let mut future = tokio_test::task::spawn(service.clone().oneshot(asks(2, 1)));
                    if matches!(future.poll(), std::task::Poll::Ready(Ok(_))) {
                        served.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // Threads take some milliseconds, in which some tokens may come in.
    let served = served.into_inner();
    assert!((333..=340).contains(&served), "{served}");
    assert!(layer.handle().left(None, D::Requests).unwrap() <= 1000 - served + 10);
}

#[tokio::test(start_paused = true)]
async fn edge_24_what_was_reserved_settles_once_whoever_comes_last() {
    let layer = whole(Limits::none().tokens_per_minute(n(6000)).concurrency(few(5))).token_burst(n(1000));
    let (handle, service) = (layer.handle(), layer.layer(Provider::new([answer(100, 50)])));
    let mut response = service.clone().oneshot(asks(300, 300)).await.unwrap();
    assert_eq!((handle.left(None, D::Tokens), handle.under_way(None)), (Some(400), 1));
    while response.body_mut().frame().await.is_some() {}
    assert_eq!((handle.left(None, D::Tokens), handle.under_way(None)), (Some(850), 0));
    assert!(response.body_mut().frame().await.is_none());
    drop(response);
    assert_eq!((handle.left(None, D::Tokens), handle.under_way(None)), (Some(850), 0));
}

#[tokio::test(start_paused = true)]
async fn edge_24_a_reservation_settles_after_its_target_was_forgotten() {
    let layer = whole(Limits::none().tokens_per_minute(n(6000))).token_burst(n(1000));
    let service = layer.layer(Provider::new([answer(100, 50)]));
    let mut request = asks(300, 300);
    request.extensions_mut().insert(towline_core::Target::new("slow", "http://host").unwrap());
    let response = service.clone().oneshot(request).await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    for name in 0..1000 {
        service.clone().oneshot(common::to(&name.to_string())).await.unwrap();
    }
    assert!(response.into_body().collect().await.is_ok());
    assert_eq!(layer.handle().left(Some("slow"), D::Tokens), Some(1000), "the time has made good all of it");
}

#[tokio::test(start_paused = true)]
async fn edge_25_ten_times_the_estimate_is_owed_and_a_tenth_comes_back_but_no_more_than_the_burst() {
    let layer = whole(Limits::none().tokens_per_minute(n(60_000))).token_burst(n(1000));
    let (handle, service) = (layer.handle(), layer.layer(Provider::new([answer(5000, 5000), answer(50, 50)])));
    let began = Instant::now();
    drop(service.clone().oneshot(asks(500, 500)).await.unwrap().into_body().collect().await);
    assert_eq!(handle.left(None, D::Tokens), Some(0));
    let second = service.clone().oneshot(asks(500, 500)).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(10), "9000 owed, and 1000 of its own");
    tokio::time::advance(Duration::from_millis(950)).await;
    drop(second.into_body().collect().await);
    assert_eq!(handle.left(None, D::Tokens), Some(1000), "of 900 only 50 were still lacking");
}

#[tokio::test(start_paused = true)]
async fn edge_25_what_was_read_from_a_cache_is_free_with_anthropic_and_counts_elsewhere() {
    // Each provider's own way to say it: with Anthropic the input leaves out what was cached.
    for (profile, input, left) in [(Profile::Anthropic, 100, 2900), (Profile::Any, 900, 2100)] {
        let layer = whole(Limits::none().input_tokens_per_minute(n(60_000))).profile(profile);
        let service = layer.layer(Provider::new([answer(input, 10)]));
        drop(service.oneshot(asks(1000, 10)).await.unwrap().into_body().collect().await);
        assert_eq!(layer.handle().left(None, D::InputTokens), Some(left), "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn edge_25_what_was_written_into_a_cache_counts_beside_the_input() {
    let layer = whole(Limits::none().input_tokens_per_minute(n(60_000))).profile(Profile::Anthropic);
    let service = layer.layer(tower::service_fn(|_: Request<usize>| async {
        let (handle, mut usage) = (StreamHandle::new(Instant::now()), Usage::default());
        (usage.input_tokens, usage.cache_creation_tokens, usage.cache_read_tokens) = (Some(100), Some(400), Some(9000));
        handle.record_usage(usage);
        let mut response = Response::new(String::from("hello"));
        response.extensions_mut().insert(handle);
        Ok::<_, BoxError>(response)
    }));
    drop(service.oneshot(asks(1000, 10)).await.unwrap().into_body().collect().await);
    assert_eq!(layer.handle().left(None, D::InputTokens), Some(3000 - 500));
}

#[tokio::test(start_paused = true)]
async fn several_answers_are_reserved_for_several_times() {
    for (profile, answers, reserved) in [
        (Profile::Azure, Some(3), 100 + 3 * 50),
        (Profile::OpenAi, Some(3), 150),
        (Profile::Azure, Some(0), 150),
        (Profile::Azure, None, 150),
    ] {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000))).profile(profile).token_burst(n(1000));
        let mut facts = Facts::default();
        (facts.input_tokens, facts.max_output_tokens, facts.answers) = (100, Some(50), answers);
        let mut request = Request::new(0);
        request.extensions_mut().insert(Call::new(facts, Instant::now(), None));
        let _response = layer.layer(Provider::new([answer(1, 1)])).oneshot(request).await.unwrap();
        assert_eq!(layer.handle().left(None, D::Tokens), Some(1000 - reserved), "{profile:?}, {answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn edge_25_an_answer_that_breaks_off_keeps_its_reservation_or_costs_what_it_told_if_that_is_more() {
    let cases = [(None, 600), (Some((300, 5)), 600), (Some((300, 500)), 800)];
    for (told, cost) in cases {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000)));
        let broken = Answer { told, end: StreamEnd::Cut, ..answer(0, 0) };
        drop(layer.layer(Provider::new([broken])).oneshot(asks(300, 300)).await.unwrap().into_body().collect().await);
        assert_eq!(layer.handle().left(None, D::Tokens), Some(3000 - cost), "{told:?}");

        let layer = whole(Limits::none().tokens_per_minute(n(60_000)));
        let left = Answer { told, end: StreamEnd::Dropped, ..answer(0, 0) };
        drop(layer.layer(Provider::new([left])).oneshot(asks(300, 300)).await.unwrap());
        assert_eq!(layer.handle().left(None, D::Tokens), Some(3000 - cost), "dropped: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_any_content_costs_a_request_and_no_tokens_and_one_of_unknown_fate_costs_all() {
    for (status, left) in [(500, 3000), (400, 3000), (504, 2400)] {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000)).requests_per_minute(few(600))).burst(few(10));
        let response = layer.layer(Provider::new([Answer { status, ..answer(1, 1) }])).oneshot(asks(300, 300)).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!((layer.handle().left(None, D::Tokens), layer.handle().available(None)), (Some(left), 9), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_may_be_counted_in_a_way_of_its_own() {
    let layer = whole(Limits::none().tokens_per_minute(n(60_000))).token_burst(n(10_000)).profile_for("azure", Profile::Azure);
    for (name, reserved) in [("azure", 5100), ("other", 1124)] {
        let mut request = asks(100, 5000);
        request.extensions_mut().insert(Target::new(name, "http://provider.test").unwrap());
        let response = layer.layer(Provider::new([answer(120, 80)])).oneshot(request).await.unwrap();
        assert_eq!(10_000 - layer.handle().left(Some(name), D::Tokens).unwrap(), reserved, "{name}");
        drop(response);
    }
}

#[tokio::test(start_paused = true)]
async fn what_each_profile_reserves_and_settles() {
    use Profile as P;
    // 100 in and at most 5000 out are asked for; 120 in and 80 out are used.
    let cases = [
        (P::Any, 1124, 200),
        (P::OpenAi, 5000, 5000),
        (P::Azure, 5100, 5120),
        (P::Anthropic, 1124, 200),
        (P::Gemini, 100, 120),
        (P::Bedrock, 5100, 200),
        (P::Cerebras, 5100, 200),
    ];
    for (profile, reserved, settled) in cases {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000))).profile(profile).token_burst(n(10_000));
        let response = layer.layer(Provider::new([answer(120, 80)])).oneshot(asks(100, 5000)).await.unwrap();
        let left = || 10_000 - layer.handle().left(None, D::Tokens).unwrap();
        assert_eq!(left(), reserved, "{profile:?}");
        drop(response.into_body().collect().await);
        assert_eq!(left(), settled, "{profile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_max_tokens_counts_the_true_prompt_takes_the_place_of_the_estimate_and_max_tokens_stays() {
    // 1000 in are estimated; 400 or 3000 are used, and 50 out.
    for (profile, max_output, used, settled) in [
        (Profile::OpenAi, 200, 400, 450),
        (Profile::OpenAi, 700, 400, 700),
        (Profile::OpenAi, 700, 3000, 3050),
        (Profile::Azure, 200, 400, 600),
        (Profile::Azure, 200, 3000, 3200),
    ] {
        let layer = whole(Limits::none().tokens_per_minute(n(60_000))).profile(profile).token_burst(n(10_000));
        let service = layer.layer(Provider::new([answer(used, 50)]));
        drop(service.oneshot(asks(1000, max_output)).await.unwrap().into_body().collect().await);
        assert_eq!(10_000 - layer.handle().left(None, D::Tokens).unwrap(), settled, "{profile:?}, {max_output}, {used}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_length_of_answers_is_learned() {
    let layer = whole(Limits::none().output_tokens_per_minute(n(60_000_000)));
    let provider = Provider::new((0..60).map(|_| answer(10, 200)));
    let service = layer.layer(provider);
    for _ in 0..60 {
        drop(service.clone().oneshot(asks(10, 100_000)).await.unwrap().into_body().collect().await);
    }
    let before = layer.handle().left(None, D::OutputTokens).unwrap();
    service.oneshot(asks(10, 100_000)).await.unwrap();
    let reserved = before - layer.handle().left(None, D::OutputTokens).unwrap();
    assert!((200..=210).contains(&reserved), "{reserved}");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_under_way_at_once_and_the_next_comes_when_one_has_ended() {
    let layer = whole(Limits::none().concurrency(few(2))).max_wait(Duration::from_secs(10));
    let service = layer.layer(Provider::new([]));
    let first = service.clone().oneshot(asks(1, 1)).await.unwrap();
    let _second = service.clone().oneshot(asks(1, 1)).await.unwrap();
    let third = tokio::spawn(service.clone().oneshot(asks(1, 1)));
    let fourth = tokio::spawn(service.clone().oneshot(asks(1, 1)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((layer.handle().waiting(None), layer.handle().left(None, D::Concurrency)), (2, Some(0)));
    let began = Instant::now();
    drop(first);
    let _third = third.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    let error = fourth.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), FailureKind::LimitedLocally, "after its ten seconds");
    assert!(began.elapsed() < Duration::from_millis(5010), "{:?}", began.elapsed());
    assert_eq!((layer.handle().waiting(None), layer.handle().under_way(None)), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_lets_the_head_of_the_line_pass_at_once() {
    let layer = whole(Limits::none().tokens_per_minute(n(6000))).token_burst(n(600));
    let service = layer.layer(Provider::new([answer(10, 10)]));
    let first = service.clone().oneshot(asks(300, 300)).await.unwrap();
    let second = tokio::spawn(service.clone().oneshot(asks(300, 200)));
    tokio::task::yield_now().await;
    assert_eq!(layer.handle().waiting(None), 1);
    let began = Instant::now();
    let _: Bytes = first.into_body().collect().await.unwrap().to_bytes();
    second.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn in_a_day_never_more_than_the_limit_passes_and_a_tenth_at_once() {
    let layer = whole(Limits::none().requests_per_day(few(1000))).max_wait(NOBODY_WAITS);
    let service = layer.layer(Provider::new([]));
    let mut served = 0;
    for minute in 0..1440 {
        while service.clone().oneshot(asks(1, 1)).await.is_ok() {
            served += 1;
        }
        assert!(minute > 0 || served == 100, "{served}");
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert!((995..=1000).contains(&served), "{served}");
}

#[tokio::test(start_paused = true)]
async fn targets_may_have_limits_of_their_own_and_a_users_key_may_take_their_place() {
    let layer =
        whole(Limits::none().requests_per_minute(few(60))).limits_for("big", Limits::none().requests_per_minute(few(600)));
    assert_eq!(layer.handle().limits(Some("big")).get(D::Requests), Some(600));
    assert_eq!(layer.handle().available(Some("big")), 10);
    assert_eq!(layer.handle().available(Some("other")), 1);

    let layer = layer.key(|head| head.headers.get("x-tenant")?.to_str().ok().map(Into::into)).max_wait(NOBODY_WAITS);
    let service = layer.layer(Provider::new([]));
    let of = |tenant: &'static str| {
        let mut request = common::to("a");
        request.headers_mut().insert("x-tenant", http::HeaderValue::from_static(tenant));
        request
    };
    service.clone().oneshot(of("one")).await.unwrap();
    service.clone().oneshot(of("two")).await.unwrap();
    service.clone().oneshot(of("two")).await.unwrap_err();
    assert_eq!(layer.handle().available(Some("a")), 1, "nobody's key");
}

#[tokio::test(start_paused = true)]
async fn limits_can_be_changed_while_calls_wait() {
    let layer = RateLimitLayer::new(Limits::none().requests_per_minute(few(6))).share(1.0).unwrap();
    let (handle, service) = (layer.handle(), layer.layer(Provider::new([])));
    service.clone().oneshot(common::to("a")).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(common::to("a")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(handle.waiting(Some("a")), 1);
    let began = Instant::now();
    handle.set_limits(Some("a"), Limits::none().requests_per_minute(few(60)).tokens_per_minute(n(10_000)));
    waiting.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(910), "{:?} instead of nine seconds", began.elapsed());
    assert_eq!(handle.limits(Some("a")).get(D::Tokens), Some(10_000));
    handle.set_limits(Some("new"), Limits::none().concurrency(few(1)));
    assert_eq!(handle.limits(Some("new")).get(D::Concurrency), Some(1), "before anybody has asked for it");
    assert_eq!(handle.limits(None), Limits::none().requests_per_minute(few(6)));
}
