//! What the caller gets when nobody could answer.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use towline_core::{BoxError, Call, Error, Facts, Failure, FailureKind, StreamEnd, StreamHandle, body::ReplayBody};
use towline_fallback::{Cache, DegradeBody, DegradeLayer, Degraded, FallbackLayer, Handover, Queue};
use towline_testkit::ScriptedBody;
use towline_wire::stream::StreamReader;

mod support;

use support::{targets, with_call};

type Answer = Result<Response<ScriptedBody>, Error>;
type Make = fn() -> Answer;
type Given = Result<Response<DegradeBody<ScriptedBody>>, Error>;

const MINUTE: Duration = Duration::from_secs(60);
const QUESTION: &str = r#"{"model":"m","messages":[{"role":"user","content":"why"}]}"#;

fn cache() -> Cache {
    Cache::new(NonZeroUsize::new(8).unwrap(), 30 * MINUTE)
}

fn question(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::from(body)).unwrap()
}

fn good() -> Answer {
    let body = ScriptedBody::new().data("one").data("two");
    Ok(Response::builder().header("content-type", "text/event-stream").header("set-cookie", "s3cret").body(body).unwrap())
}

fn down() -> Answer {
    Ok(Response::builder().status(503).body(ScriptedBody::new().data("busy")).unwrap())
}

/// Answers by script, the last one for ever; counts.
#[derive(Clone)]
struct Provider {
    script: Arc<Mutex<Vec<Make>>>,
    asked: Arc<Mutex<usize>>,
}

impl Provider {
    fn new(script: &[Make]) -> Self {
        Self { script: Arc::new(Mutex::new(script.to_vec())), asked: Arc::default() }
    }

    async fn ask(&self, layer: &DegradeLayer, request: Request<Full<Bytes>>) -> Given {
        let provider = self.clone();
        let inner = tower::service_fn(move |_: Request<Full<Bytes>>| {
            *provider.asked.lock() += 1;
            let mut script = provider.script.lock();
            let answer = if script.len() > 1 { script.remove(0) } else { script[0] };
            async move { answer() }
        });
        layer.layer(inner).oneshot(request).await
    }
}

/// How it is degraded, and its chunks.
async fn told(given: Given) -> (Option<&'static str>, Vec<String>) {
    let response = given.unwrap();
    let how = Degraded::of(response.extensions()).map(Degraded::name);
    let header = response.headers().get("x-towline-degraded").map(|how| how.to_str().unwrap().to_owned());
    assert_eq!(header.as_deref(), how);
    let (mut body, mut chunks) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        chunks.push(String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap());
    }
    (how, chunks)
}

fn chunks(of: &[&str]) -> Vec<String> {
    of.iter().map(|chunk| (*chunk).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_is_given_again_as_it_came_until_its_time_is_over() {
    let (layer, provider) = (DegradeLayer::new().cache(cache()), Provider::new(&[good, down]));
    let ask = || provider.ask(&layer, question("/v1/messages", QUESTION));
    assert_eq!(told(ask().await).await, (None, chunks(&["one", "two"])));
    sleep(29 * MINUTE).await;
    let again = ask().await.unwrap();
    assert_eq!(
        (again.headers()["content-type"].to_str().unwrap(), again.headers()["age"].to_str().unwrap()),
        ("text/event-stream", "1740")
    );
    assert!(!again.headers().contains_key("set-cookie"), "that was for another call");
    assert_eq!(Degraded::of(again.extensions()).unwrap().failure().kind, FailureKind::Overloaded);
    assert_eq!(told(Ok(again)).await, (Some("stale"), chunks(&["one", "two"])));
    sleep(2 * MINUTE).await;
    assert_eq!(told(ask().await).await, (None, chunks(&["busy"])), "loudly");
    assert_eq!(*provider.asked.lock(), 3, "each time somebody was asked first");
}

#[tokio::test(start_paused = true)]
async fn a_young_answer_is_read_through_where_that_is_asked_for() {
    let (layer, provider) = (DegradeLayer::new().cache(cache().read_through(MINUTE)), Provider::new(&[good, down]));
    let ask = || provider.ask(&layer, question("/v1/messages", QUESTION));
    told(ask().await).await;
    assert_eq!(told(ask().await).await, (None, chunks(&["one", "two"])));
    assert_eq!(*provider.asked.lock(), 1);
    sleep(2 * MINUTE).await;
    assert_eq!(told(ask().await).await.0, Some("stale"));
    assert_eq!(*provider.asked.lock(), 2);
}

#[tokio::test]
async fn nothing_is_kept_that_is_no_whole_good_answer() {
    let broken = || Ok(Response::new(ScriptedBody::new().data("one").error("reset")));
    let cut = || {
        let mut cut = good()?;
        let handle = StreamHandle::new(Instant::now());
        handle.settle(StreamEnd::Cut);
        cut.extensions_mut().insert(handle);
        Ok(cut)
    };
    let long = || Ok(Response::new(ScriptedBody::new().data("x".repeat(2000))));
    let partial = || Ok(Response::builder().status(206).body(ScriptedBody::new().data("half")).unwrap());
    for bad in [broken as Make, cut, long, partial] {
        let (layer, provider) = (DegradeLayer::new().cache(cache().max_bytes(1000, 5000)), Provider::new(&[bad, down]));
        let ask = || provider.ask(&layer, question("/v1/messages", QUESTION));
        let mut body = ask().await.unwrap().into_body();
        while let Some(Ok(_)) = body.frame().await {}
        assert_eq!(told(ask().await).await.0, None);
    }
    // One whose reader left.
    let (layer, provider) = (DegradeLayer::new().cache(cache()), Provider::new(&[good, down]));
    let ask = || provider.ask(&layer, question("/v1/messages", QUESTION));
    let _ = ask().await.unwrap().into_body().frame().await;
    assert_eq!(told(ask().await).await.0, None);
}

#[tokio::test]
async fn answers_after_results_of_tools_are_kept_only_where_that_is_asked_for() {
    const TOOL: &str = r#"{"messages":[{"role":"tool","content":"4"}]}"#;
    for (cache, how) in [(cache(), None), (cache().tool_results(true), Some("stale"))] {
        let (layer, provider) = (DegradeLayer::new().cache(cache), Provider::new(&[good, down]));
        told(provider.ask(&layer, question("/v1/chat/completions", TOOL)).await).await;
        assert_eq!(told(provider.ask(&layer, question("/v1/chat/completions", TOOL)).await).await.0, how);
    }
}

#[tokio::test]
async fn callers_with_different_credentials_share_no_answer() {
    let (layer, provider) = (DegradeLayer::new().cache(cache()), Provider::new(&[good, down]));
    let of = |key: &'static str| {
        let mut request = question("/v1/messages", QUESTION);
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        request
    };
    told(provider.ask(&layer, of("mine")).await).await;
    assert_eq!(told(provider.ask(&layer, of("yours")).await).await.0, None);
    assert_eq!(told(provider.ask(&layer, of("mine")).await).await.0, Some("stale"));
}

#[tokio::test]
async fn a_designed_answer_is_a_whole_one_in_each_dialect_streamed_or_not() {
    let layer = DegradeLayer::new().answer("a word from us");
    let provider = Provider::new(&[down]);
    let streamed = r#"{"model":"m","stream":true}"#;
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1beta/models/g:streamGenerateContent"] {
        let (how, events) = told(provider.ask(&layer, question(path, streamed)).await).await;
        assert_eq!(how, Some("static"));
        let mut reader = StreamReader::new();
        events.iter().for_each(|event| reader.push(Bytes::from(event.clone())));
        reader.finish();
        while reader.next_step().is_some() {}
        assert!(reader.has_content() && reader.has_ended(), "{path}: {events:?}");
        assert_eq!(reader.verdict(), None, "{path}");
        assert!(events.concat().contains("a word from us"));
    }
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1beta/models/g:generateContent", "/model/m/converse"]
    {
        let (how, whole) = told(provider.ask(&layer, question(path, QUESTION)).await).await;
        assert_eq!(how, Some("static"));
        let whole: serde_json::Value = serde_json::from_str(&whole.concat()).unwrap();
        let texts =
            ["/choices/0/message/content", "/output/0/content/0/text", "/content/0/text", "/candidates/0/content/parts/0/text"];
        let bedrock = "/output/message/content/0/text";
        let said = texts.iter().chain(&[bedrock]).find_map(|at| whole.pointer(at)).and_then(|text| text.as_str());
        assert_eq!(said, Some("a word from us"), "{path}: {whole}");
    }
    let (how, _) = told(provider.ask(&layer, question("/model/m/converse-stream", QUESTION)).await).await;
    assert_eq!(how, None, "a binary stream is not designed");
}

#[tokio::test]
async fn only_an_outage_is_answered_in_place_of_the_provider() {
    let layer = DegradeLayer::new().answer("a word from us");
    let status = |code: u16| {
        layer.layer(tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            Ok::<_, BoxError>(Response::builder().status(code).body(ScriptedBody::new().data("own words"))?)
        }))
    };
    for (code, how) in [(400, None), (401, None), (404, None), (413, None), (429, Some("static")), (500, Some("static"))] {
        let given = status(code).oneshot(question("/v1/messages", QUESTION)).await;
        assert_eq!(told(given).await.0, how, "{code}");
    }
    let refused = || Err(Error::new(Failure::new(FailureKind::DeadlineExceeded)));
    assert_eq!(told(Provider::new(&[refused]).ask(&layer, question("/v1/messages", QUESTION)).await).await.0, Some("static"));
    let never = layer.clone().degrades(|failure| (failure.kind == FailureKind::Overloaded).then_some(false));
    assert_eq!(told(Provider::new(&[down]).ask(&never, question("/v1/messages", QUESTION)).await).await.0, None);
    let loud = DegradeLayer::new();
    let error = Provider::new(&[refused]).ask(&loud, question("/v1/messages", QUESTION)).await.err().unwrap();
    assert_eq!(error.kind(), FailureKind::DeadlineExceeded);
}

struct Slips(Arc<Mutex<Vec<String>>>, bool);

impl Queue for Slips {
    fn take_over(&self, request: Request<Bytes>, failure: &Failure) -> Handover {
        let slip = format!("{} {} {}", request.uri(), failure.kind, String::from_utf8_lossy(request.body()));
        self.0.lock().push(slip);
        let full = self.1;
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            if full { Err("full".into()) } else { Ok(Response::builder().status(202).body(Bytes::from_static(b"ticket 7"))?) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_can_wait_is_handed_over_and_what_the_queue_refuses_goes_on() {
    let slips = Arc::new(Mutex::new(Vec::new()));
    let (empty, full) = (Slips(Arc::clone(&slips), false), Slips(Arc::clone(&slips), true));
    let provider = Provider::new(&[down]);
    let layer = DegradeLayer::new().queue(empty).answer("a word from us");
    let given = provider.ask(&layer, question("/v1/messages", QUESTION)).await;
    assert_eq!(given.as_ref().unwrap().status(), 202);
    assert_eq!(told(given).await, (Some("queued"), chunks(&["ticket 7"])));
    assert_eq!(*slips.lock(), [format!("/v1/messages overloaded {QUESTION}")]);
    let layer = DegradeLayer::new().queue(full);
    assert_eq!(told(provider.ask(&layer, question("/v1/messages", QUESTION)).await).await, (None, chunks(&["busy"])));
    // Who has a good answer needs no queue.
    let (layer, provider) =
        (DegradeLayer::new().queue(Slips(Arc::clone(&slips), false)).cache(cache()), Provider::new(&[good, down]));
    told(provider.ask(&layer, question("/v1/messages", QUESTION)).await).await;
    assert_eq!(told(provider.ask(&layer, question("/v1/messages", QUESTION)).await).await.0, Some("stale"));
    assert_eq!(slips.lock().len(), 2);
}

#[tokio::test]
async fn above_a_fallback_it_tells_the_trail_of_those_who_failed() {
    let inner = tower::service_fn(|_: Request<Full<Bytes>>| async { down() });
    let fallback = FallbackLayer::new(targets(&["a", "b"])).unwrap().layer(inner);
    let call = Call::new(Facts::default(), Instant::now(), None);
    let answer = DegradeLayer::new().answer("a word from us").layer(fallback).oneshot(with_call(&call)).await.unwrap();
    let trail = Call::of(answer.extensions()).unwrap().trail();
    assert_eq!(trail.iter().filter(|attempt| attempt.failure == Some(FailureKind::Overloaded)).count(), 2);
}

#[test]
fn it_is_send_and_cancels_what_is_beneath() {
    fn assert_send<T: Send>(_: &T) {}
    let held = Arc::new(());
    let guard = Arc::clone(&held);
    let inner = tower::service_fn(move |_: Request<ReplayBody>| {
        let guard = Arc::clone(&guard);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, BoxError>(Response::new(ScriptedBody::new()))
        }
    });
    let mut service = DegradeLayer::new().cache(cache()).layer(inner);
    assert_send(&service);
    let before = Arc::strong_count(&held);
    let future = service.call(Request::new(ReplayBody::once(Full::from("{}"))));
    assert_send(&future);
    let mut future = tokio_test::task::spawn(future);
    assert!(future.poll().is_pending() && !future.is_woken());
    assert!(Arc::strong_count(&held) > before);
    drop(future);
    assert_eq!(Arc::strong_count(&held), before);
}
