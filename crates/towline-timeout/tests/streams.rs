//! Streams and their content, in paused time, with the real classify beneath and without it.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod common;

use std::future::ready;

use common::*;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use towline_classify::ClassifyLayer;
use towline_core::{BoxError, Call, Dialect, Facts, FailureKind, Phase};
use towline_testkit::ScriptedBody;
use towline_timeout::TimeoutLayer;

const FIRST: FailureKind = FailureKind::Timeout(Phase::FirstContent);
const CONTENT: FailureKind = FailureKind::Timeout(Phase::ContentIdle);
const SLOW: FailureKind = FailureKind::Timeout(Phase::Throughput);

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[]}}\n\n";
const TEXT: &str = "event: content_block_delta\n\
    data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello, world\"}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
/// What classify cannot read.
const AUDIO: &str = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"UklGRiQAAABXQVZF\"}\n\n";

/// A piece after each pause of so many seconds.
fn pieces<'a>(body: ScriptedBody, pause: u64, pieces: impl IntoIterator<Item = &'a str>) -> ScriptedBody {
    pieces.into_iter().fold(body, |body, piece| body.wait(secs(pause)).data(piece.to_owned()))
}

fn repeated(body: ScriptedBody, pause: u64, piece: &str, times: usize) -> ScriptedBody {
    pieces(body, pause, std::iter::repeat_n(piece, times))
}

/// One byte a second of so many repetitions.
fn dripping(body: ScriptedBody, text: &str, times: usize) -> ScriptedBody {
    text.repeat(times).into_bytes().into_iter().fold(body, |body, byte| body.wait(secs(1)).data(vec![byte]))
}

fn begun() -> ScriptedBody {
    ScriptedBody::new().data(START).data(TEXT)
}

/// What `CallLayer` writes into a request that asks for a stream.
fn asked() -> Request {
    let mut facts = Facts::default();
    (facts.stream, facts.dialect) = (true, Some(Dialect::Anthropic));
    request_with(Call::new(facts, Instant::now(), None))
}

type Seen = (Result<(), FailureKind>, u64);

/// How a stream ends for its reader, and after how many seconds.
async fn seen(layer: &TimeoutLayer, classify: bool, request: Request, body: ScriptedBody) -> Seen {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, "text/event-stream; charset=utf-8".parse().unwrap());
    let mut response = Some(response);
    let provider = service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap())));
    let began = Instant::now();
    let end = if classify {
        let service = ServiceBuilder::new().layer(layer.clone()).layer(ClassifyLayer::new()).service(provider);
        match service.oneshot(request).await {
            Ok(response) => read(response.into_body()).await.1,
            Err(error) => Err(error.kind()),
        }
    } else {
        read(layer.layer(provider).oneshot(request).await.unwrap().into_body()).await.1
    };
    (end, began.elapsed().as_secs())
}

async fn classified(layer: &TimeoutLayer, body: ScriptedBody) -> Seen {
    seen(layer, true, asked(), body).await
}

async fn bare(layer: &TimeoutLayer, body: ScriptedBody) -> Seen {
    seen(layer, false, asked(), body).await
}

fn presets() -> [TimeoutLayer; 4] {
    [TimeoutLayer::attempt(), TimeoutLayer::chat(), TimeoutLayer::reasoning(), TimeoutLayer::call()]
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stream_of_ten_minutes_survives_every_default() {
    let healthy = || {
        let half = |body| repeated(repeated(body, 1, TEXT, 270), 10, PING, 3);
        half(half(ScriptedBody::new().data(START))).data(STOP)
    };
    // With pauses that are as long as those of a slow model.
    let slow = || repeated(ScriptedBody::new().data(START), 30, TEXT, 20).data(STOP);
    for layer in presets() {
        for classify in [true, false] {
            for request in [asked(), Request::default()] {
                assert_eq!(seen(&layer, classify, request.clone(), healthy()).await, (Ok(()), 600), "{layer:?} {classify}");
                assert_eq!(seen(&layer, classify, request, slow()).await, (Ok(()), 600), "{layer:?} {classify}");
            }
        }
    }
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn one_byte_a_second_survives_no_default() {
    let drip = || dripping(ScriptedBody::new(), &format!("{START}{}", TEXT.repeat(40)), 1).data(STOP);
    for (layer, first) in [(TimeoutLayer::attempt(), 120), (TimeoutLayer::chat(), 60)] {
        assert_eq!(classified(&layer, drip()).await, (Err(FIRST), first), "its first event takes minutes");
    }
    assert_eq!(classified(&TimeoutLayer::reasoning(), drip()).await.0, Err(SLOW));
    // Where it is bytes that count, the floor cuts it.
    for (layer, window) in [(TimeoutLayer::attempt(), 300), (TimeoutLayer::chat(), 300), (TimeoutLayer::reasoning(), 600)] {
        let (end, after) = bare(&layer, drip()).await;
        assert_eq!(end, Err(SLOW));
        assert!((window..=window + 1).contains(&after), "{after}");
    }
    // A layer for whole calls bounds what is beneath it by the total alone.
    assert_eq!(bare(&TimeoutLayer::call(), drip()).await, (Err(TOTAL), 3600));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_dries_up_to_one_byte_a_second_survives_no_default() {
    // Classify hands on whole events, so nothing comes from one to the next.
    let short = || dripping(begun(), TEXT, 30);
    let long = TEXT.replace("world", &"w".repeat(100));
    for layer in [TimeoutLayer::attempt(), TimeoutLayer::chat()] {
        for body in [short(), dripping(begun(), &long, 30)] {
            assert_eq!(classified(&layer, body).await, (Err(IDLE), 60));
        }
    }
    // With short events content comes each 126 s and keeps the limits on its pauses from passing, but not the floor.
    assert_eq!(classified(&TimeoutLayer::reasoning(), short()).await.0, Err(SLOW));
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn pings_each_ten_seconds_without_content_survive_no_default() {
    let pings = |body| repeated(body, 10, PING, 1000);
    for (layer, first, further) in
        [(TimeoutLayer::attempt(), 120, 180), (TimeoutLayer::chat(), 60, 180), (TimeoutLayer::reasoning(), 300, 300)]
    {
        assert_eq!(classified(&layer, pings(ScriptedBody::new().data(START))).await, (Err(FIRST), first), "before content");
        assert_eq!(classified(&layer, pings(begun())).await, (Err(CONTENT), further), "after content");
    }
    assert_eq!(classified(&TimeoutLayer::call(), pings(begun())).await, (Err(TOTAL), 3600));
}

#[tokio::test(start_paused = true)]
async fn pings_that_use_up_what_classify_holds_are_no_content_either() {
    let layer = TimeoutLayer::attempt();
    let pings = || repeated(ScriptedBody::new().data(START), 1, PING, 1000);
    assert_eq!(classified(&layer, pings()).await, (Err(FIRST), 120), "though classify let go at 63 s");
    let without = TimeoutLayer::new().content_idle(secs(50)).unwrap();
    assert_eq!(classified(&without, pings()).await, (Err(CONTENT), 63 + 50), "from when it let go");
}

#[tokio::test(start_paused = true)]
async fn without_classify_pings_are_bytes_like_others() {
    let layer = TimeoutLayer::attempt().content_idle(secs(20)).unwrap().first_content(secs(20)).unwrap();
    let pings = repeated(begun(), 10, PING, 60);
    assert_eq!(bare(&layer, pings).await, (Ok(()), 600));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_classify_cannot_read_is_not_cut_for_want_of_content() {
    let layer = TimeoutLayer::attempt();
    let audio = || repeated(ScriptedBody::new(), 1, AUDIO, 600);
    assert_eq!(seen(&layer, true, Request::default(), audio()).await, (Ok(()), 600));
    let mut facts = Facts::default();
    facts.stream = true;
    let unknown = request_with(Call::new(facts, Instant::now(), None));
    assert_eq!(seen(&layer, true, unknown, audio()).await, (Ok(()), 600));
}

#[tokio::test(start_paused = true)]
async fn first_content_is_waited_for_from_the_sending_on_whoever_holds_the_stream() {
    let layer = TimeoutLayer::new().first_content(secs(45)).unwrap();
    let late = |after| ScriptedBody::new().data(START).wait(secs(after)).data(TEXT).data(STOP);
    assert_eq!(classified(&layer, late(44)).await, (Ok(()), 44));
    assert_eq!(classified(&layer, late(46)).await, (Err(FIRST), 45));
    let silent = |after| ScriptedBody::new().wait(secs(after)).data(TEXT).data(STOP);
    assert_eq!(bare(&layer, silent(44)).await, (Ok(()), 44));
    assert_eq!(bare(&layer, silent(46)).await, (Err(FIRST), 45));
    // A head that took its time leaves the less to the rest.
    let slow = service_fn(|_: Request| async {
        tokio::time::sleep(secs(30)).await;
        Ok::<_, BoxError>(Response::new(ScriptedBody::new().wait(secs(10)).data("").hang()))
    });
    let began = Instant::now();
    let body = layer.layer(slow).oneshot(asked()).await.unwrap().into_body();
    assert_eq!((read(body).await.1, began.elapsed().as_secs()), (Err(FIRST), 45));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_names_the_limit_that_its_request_has() {
    let layer = TimeoutLayer::new().head(secs(10)).unwrap().first_content(secs(30)).unwrap();
    let never = service_fn(|_: Request| std::future::pending::<Result<Response<ScriptedBody>, BoxError>>());
    let mut seen = vec![];
    for request in [Request::default(), asked()] {
        let began = Instant::now();
        let error = layer.layer(never).oneshot(request).await.unwrap_err();
        seen.push((error.kind(), began.elapsed().as_secs()));
    }
    assert_eq!(seen, [(HEAD, 10), (FIRST, 30)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_mistaken_for_a_stream_without_content() {
    let layer = TimeoutLayer::attempt().min_throughput(1000, secs(100)).unwrap();
    let body = pieces(begun(), 1, [PING, TEXT].repeat(5)).data(STOP);
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
    let mut response = Some(response);
    let provider = service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap())));
    let service = ServiceBuilder::new().layer(layer).layer(ClassifyLayer::new()).service(provider);
    let mut body = service.oneshot(asked()).await.unwrap().into_body();
    while let Some(frame) = body.frame().await {
        assert!(frame.is_ok());
        tokio::time::sleep(secs(400)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_floor_cuts_what_stays_below_it_and_nothing_else() {
    let floor = TimeoutLayer::new().min_throughput(20, secs(5)).unwrap();
    let bytes = "x".repeat(50);
    assert_eq!(bare(&floor, repeated(ScriptedBody::new(), 2, &bytes, 50)).await, (Ok(()), 100), "25 a second");
    let (end, after) = bare(&floor, repeated(ScriptedBody::new(), 3, &bytes, 50)).await;
    assert_eq!((end, after), (Err(SLOW), 8), "17 a second: the first 3 s are those of the first content");
    // Much at once does not make up for a pause.
    let burst = ScriptedBody::new().data("x".repeat(10_000)).wait(secs(6)).data("x");
    assert_eq!(bare(&floor, burst).await, (Err(SLOW), 5));
    // Pings do not help.
    let pings = repeated(begun(), 1, PING, 50);
    assert_eq!(classified(&floor, pings).await, (Err(SLOW), 5));
}

#[tokio::test(start_paused = true)]
async fn a_document_may_come_as_slowly_as_its_total_allows() {
    let layer = TimeoutLayer::attempt().min_throughput(1000, secs(5)).unwrap().total(secs(600)).unwrap();
    for (body, expected) in [(every(1, 500), (Ok(()), 500)), (every(1, 700), (Err(TOTAL), 600))] {
        let mut body = Some(body);
        let service = layer.layer(service_fn(move |_: Request| ready(Ok::<_, BoxError>(Response::new(body.take().unwrap())))));
        let began = Instant::now();
        let end = read(service.oneshot(Request::default()).await.unwrap().into_body()).await.1;
        assert_eq!((end, began.elapsed().as_secs()), expected);
    }
}

/// `ClassifyLayer` makes a handle for it as well, if it reads usage, and tells of no content by it.
#[tokio::test(start_paused = true)]
async fn a_document_that_answers_a_request_for_a_stream_is_not_cut_for_want_of_content() {
    let body =
        ["\"text\":", "1", "}"].into_iter().fold(ScriptedBody::new().data("{"), |body, piece| body.wait(secs(50)).data(piece));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    let mut response = Some(response);
    let provider = service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap())));
    let layer = TimeoutLayer::new().first_content(secs(60)).unwrap().content_idle(secs(60)).unwrap();
    let service = layer.layer(ClassifyLayer::new().usage(true).layer(provider));
    assert_eq!(read(service.oneshot(asked()).await.unwrap().into_body()).await.1, Ok(()));
}

/// Edge case 30.
#[tokio::test(start_paused = true)]
async fn a_document_that_stalls_after_its_head_is_cut() {
    for (classify, expected) in [(false, (Err(IDLE), 60)), (true, (Err(HEAD), 120))] {
        let mut response = Response::new(ScriptedBody::new().hang());
        response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        let mut response = Some(response);
        let provider = service_fn(move |_: Request| ready(Ok::<_, BoxError>(response.take().unwrap())));
        let (layer, began) = (TimeoutLayer::attempt(), Instant::now());
        let end = if classify {
            // It looks at the first bytes of a JSON answer, which to the layer above are a part of the head.
            let service = layer.layer(ClassifyLayer::new().layer(provider));
            service.oneshot(Request::default()).await.map(drop).map_err(|error| error.kind())
        } else {
            read(layer.layer(provider).oneshot(Request::default()).await.unwrap().into_body()).await.1
        };
        assert_eq!((end, began.elapsed().as_secs()), expected);
    }
}

/// Half a second after a full one, so that no limit passes at the instant of a frame.
fn and_a_half(limit: Option<u64>) -> Option<std::time::Duration> {
    limit.map(|limit| secs(limit) + secs(1) / 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    /// The plain model waits second by second, and asks after each how long ago each kind of progress was.
    #[test]
    fn a_stream_is_cut_exactly_when_a_plain_reading_of_the_limits_says_so(
        script in proptest::collection::vec((1..6_u64, any::<bool>()), 0..20),
        first in proptest::option::of(1..20_u64),
        idle in proptest::option::of(1..6_u64),
        content in proptest::option::of(1..12_u64),
    ) {
        let (mut now, mut quiet, mut dry, mut begun, mut expected) = (0, 0, 0, false, None);
        'reading: for (pause, bears) in &script {
            for _ in 0..*pause {
                // While classify holds it, neither pings nor silence are to be seen.
                let cuts = if begun { [(idle, quiet, IDLE), (content, dry, CONTENT)] } else { [(first, now, FIRST), (None, 0, FIRST)] };
                if let Some((.., kind)) = cuts.into_iter().find(|(limit, waited, _)| *limit == Some(*waited)) {
                    expected = Some((Err(kind), now));
                    break 'reading;
                }
                (now, quiet, dry) = (now + 1, quiet + 1, dry + 1);
            }
            quiet = 0;
            if *bears { (dry, begun) = (0, true) }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let seen = runtime.block_on(async {
            let mut layer = TimeoutLayer::new();
            if let Some(first) = and_a_half(first) { layer = layer.first_content(first).unwrap() }
            if let Some(idle) = and_a_half(idle) { layer = layer.idle(idle).unwrap() }
            if let Some(content) = and_a_half(content) { layer = layer.content_idle(content).unwrap() }
            let body = script.iter().fold(ScriptedBody::new(), |body, (pause, bears)| {
                body.wait(secs(*pause)).data(if *bears { TEXT } else { PING })
            });
            classified(&layer, body.data(TEXT).data(STOP)).await
        });
        prop_assert_eq!(seen, expected.unwrap_or((Ok(()), now)));
    }
}
