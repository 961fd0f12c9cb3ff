//! Presets do what their page says, in paused time over providers that a test scripts.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use towline::{BoxError, Credential, Failure, Handover, Preset, Queue, Stack, Target};

type Body = Full<Bytes>;
type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// What a provider does.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    Says(u16, &'static str),
    Limits(Option<u64>),
    KeepsSilent,
}

const DOWN: Does = Does::Says(503, "{}");
const TOO_LONG: Does = Does::Says(400, r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#);
const REFUSES: Does = Does::Says(400, r#"{"error":{"code":"content_policy_violation","message":"not that"}}"#);
const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";

/// Who was asked, and with which key.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock()).join(" ")
    }
}

/// Providers that are told by host, and key if they have one, what they do.
fn providers(does: impl Fn(&str) -> Does + Clone + Send + Sync + 'static) -> (Transport, Log) {
    let log = Log::default();
    let asked = log.clone();
    let transport = tower::service_fn(move |request: Request<Body>| {
        let key = request.headers().get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()?.strip_prefix("Bearer "));
        let host = request.uri().host().unwrap_or_default();
        let who = key.map_or_else(|| host.to_owned(), |key| format!("{host}/{key}"));
        let what = does(&who);
        asked.0.lock().push(who);
        async move {
            let streams = request.into_body().collect().await?.to_bytes().windows(8).any(|bytes| bytes == b"\"stream\"");
            let response = Response::builder();
            let answer = match what {
                Does::Answers if streams => response.header("content-type", "text/event-stream").body(STREAM),
                Does::Answers => response.header("content-type", "application/json").body(r#"{"answer":1}"#),
                Does::Says(status, body) => response.status(status).header("content-type", "application/json").body(body),
                Does::Limits(Some(secs)) => response.status(429).header("retry-after", secs).body("{}"),
                Does::Limits(None) => response.status(429).body("{}"),
                Does::KeepsSilent => pending().await,
            };
            Ok::<_, BoxError>(answer?.map(Full::from))
        }
    });
    (BoxCloneSyncService::new(transport), log)
}

fn target(name: &str) -> Target {
    Target::new(name, format!("http://{name}/v1")).unwrap()
}

/// What came, after how many seconds: `200 static`, with the word of the header that marks a substitute, or the kind of an error.
struct Came {
    what: String,
    after: f64,
    target: Option<String>,
    body: String,
}

async fn ask(stack: &Stack<Transport>, body: &'static str) -> Came {
    ask_of(stack.build().unwrap(), body).await
}

async fn ask_of<S, R>(service: S, body: &'static str) -> Came
where
    S: Service<Request<Body>, Response = Response<R>, Error = towline::Error>,
    R: http_body::Body,
    R::Error: std::fmt::Debug,
{
    let began = Instant::now();
    let request = Request::post("/v1/chat/completions").body(Full::from(body)).unwrap();
    let answer = service.oneshot(request).await;
    let after = began.elapsed().as_secs_f64();
    let (head, body) = match answer {
        Ok(response) => response.into_parts(),
        Err(error) => return Came { what: error.kind().name().to_owned(), after, target: None, body: String::new() },
    };
    let word = |name: &str| head.headers.get(name).map(|word| word.to_str().unwrap().to_owned());
    let what = [Some(head.status.as_str().to_owned()), word("x-towline-degraded")];
    Came {
        what: what.into_iter().flatten().collect::<Vec<_>>().join(" "),
        after,
        target: word("x-towline-target"),
        body: String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap(),
    }
}

const ASK: &str = r#"{"model":"m","messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[]}"#;

fn chat(transport: Transport) -> Stack<Transport> {
    towline::stack(transport).preset(Preset::chat()).targets(["a", "b", "c"].map(target)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn in_a_chat_a_429_moves_on_after_one_short_wait() {
    let (transport, log) = providers(|who| if who == "a" { Does::Limits(None) } else { Does::Answers });
    let came = ask(&chat(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("200", "a a b"));
    assert!(came.after <= 0.5, "{}", came.after);

    let (transport, log) = providers(|who| if who == "a" { Does::Limits(Some(30)) } else { Does::Answers });
    let came = ask(&chat(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take(), came.after), ("200", "a b", 0.0), "one that asks for more is not waited for");
}

#[tokio::test(start_paused = true)]
async fn in_a_chat_the_first_content_comes_within_ten_seconds_or_from_another() {
    let (transport, log) = providers(|who| if who == "a" { Does::KeepsSilent } else { Does::Answers });
    let came = ask(&chat(transport), STREAMED).await;
    assert_eq!((&*came.what, &*log.take(), came.after), ("200", "a b", 10.0));
    assert_eq!(came.body, STREAM);
}

#[tokio::test(start_paused = true)]
async fn in_a_chat_the_cheap_sibling_answers_when_both_others_are_down_and_a_word_of_ours_when_all_are() {
    let (transport, log) = providers(|who| if who == "c" { Does::Answers } else { DOWN });
    assert_eq!((&*ask(&chat(transport), ASK).await.what, &*log.take()), ("200", "a a b b c"));

    let (transport, log) = providers(|_| DOWN);
    let came = ask(&chat(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("200 static", "a a b b c c"));
    assert!(came.body.contains("I cannot answer at the moment"), "{}", came.body);
    assert!(came.after < 10.0, "{}", came.after);
}

/// The fifteenth of the sixteen faults: the primary is down for a minute, with a call every 4 s.
#[tokio::test(start_paused = true)]
async fn where_somebody_waits_a_primary_that_was_down_is_probed_seldom_and_back_within_half_a_minute() {
    for preset in Preset::all().into_iter().filter(|preset| preset.name != "batch") {
        let (began, name) = (Instant::now(), preset.name.clone());
        let seconds = move || began.elapsed().as_secs();
        let (transport, log) = providers(move |who| if who == "a" && seconds() < 60 { DOWN } else { Does::Answers });
        // What else a use needs is not at stake here.
        let stack = towline::stack(transport).preset(preset.with(|preset| preset.roles.clear()));
        let service = stack.targets(["a", "b"].map(target)).unwrap().build().unwrap();
        let (mut down, mut back) = (0, None);
        for nth in 0..24 {
            tokio::time::sleep_until(began + Duration::from_secs(4 * nth)).await;
            assert_eq!(ask_of(service.clone(), ASK).await.what, "200", "{name}, call {nth}");
            let asked = log.take();
            match asked.as_str() {
                "a" => back = back.or(Some(seconds())),
                _ if seconds() < 60 => down += asked.matches('a').count(),
                _ => assert_eq!(back, None, "{name}: it went away again"),
            }
        }
        assert!(down <= 5 + 8, "{name}: {down} attempts at a primary that is down");
        assert!(back.is_some_and(|secs| secs <= 90), "{name}: back after {back:?}");
    }
}

fn documents(transport: Transport) -> Stack<Transport> {
    let stack = towline::stack(transport).preset(Preset::documents()).targets(["a", "stronger"].map(target)).unwrap();
    stack.context_window_targets([target("large")]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn of_documents_one_that_is_too_long_goes_to_the_larger_window_and_an_outage_does_not() {
    let (transport, log) = providers(|who| if who == "large" { Does::Answers } else { TOO_LONG });
    assert_eq!((&*ask(&documents(transport), ASK).await.what, &*log.take()), ("200", "a large"));

    let (transport, log) = providers(|who| if who == "large" { Does::Answers } else { DOWN });
    let came = ask(&documents(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("503", "a a a stronger stronger stronger"), "and then it is loud");
}

#[tokio::test(start_paused = true)]
async fn of_documents_a_good_answer_of_the_last_half_hour_will_do() {
    let down = Arc::new(Mutex::new(false));
    let is_down = Arc::clone(&down);
    let (transport, _) = providers(move |_| if *is_down.lock() { DOWN } else { Does::Answers });
    let service = documents(transport).build().unwrap();
    assert_eq!(ask_of(service.clone(), ASK).await.what, "200");
    *down.lock() = true;
    tokio::time::advance(Duration::from_secs(29 * 60)).await;
    assert_eq!(ask_of(service.clone(), ASK).await.what, "200 stale");
    tokio::time::advance(Duration::from_secs(2 * 60)).await;
    assert_eq!(ask_of(service, ASK).await.what, "circuit_open");
}

#[tokio::test(start_paused = true)]
async fn for_code_keys_rotate_before_quality_drops() {
    let code = |transport| {
        let keys = ["one", "two"].map(|key| Credential::bearer(key).unwrap());
        towline::stack(transport).preset(Preset::code()).targets([target("a").with_keys(keys), target("b")]).unwrap()
    };
    let (transport, log) = providers(|who| if who == "a/one" { Does::Limits(None) } else { Does::Answers });
    let came = ask(&code(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take(), came.after), ("200", "a/one a/two", 0.0), "the second key, at once");

    let (transport, log) = providers(|who| if who == "b" { Does::Answers } else { Does::Limits(Some(60)) });
    let came = ask(&code(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("200", "a/one a/two b"), "the other family once no key is left");

    let (transport, _) = providers(|_| DOWN);
    assert_eq!(ask(&code(transport), ASK).await.what, "503", "code is not made up");
}

/// Takes everything over.
struct Tickets;

impl Queue for Tickets {
    fn take_over(&self, _: Request<Bytes>, _: &Failure) -> Handover {
        Box::pin(async { Ok(Response::builder().status(202).body(Bytes::from_static(b"ticket"))?) })
    }
}

/// Takes two seconds for it.
struct Slow;

impl Queue for Slow {
    fn take_over(&self, _: Request<Bytes>, _: &Failure) -> Handover {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(Response::builder().status(202).body(Bytes::new())?)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_queued_rather_than_failed() {
    let batch =
        |transport| towline::stack(transport).preset(Preset::batch()).queue(Tickets).targets(["a", "b"].map(target)).unwrap();
    let (transport, log) = providers(|_| DOWN);
    let came = ask(&batch(transport), ASK).await;
    assert_eq!((&*came.what, &*came.body, &*log.take()), ("202 queued", "ticket", "a a a a b b b b"));

    let (transport, log) = providers(|who| if who == "a" { Does::KeepsSilent } else { Does::Answers });
    let came = ask(&batch(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take(), came.after), ("200", "a b", 300.0), "it is patient");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_has_run_out_of_time_is_queued_by_a_queue_that_takes_a_while() {
    let short = Preset::batch().with(|batch| {
        (batch.deadline, batch.stream_deadline) = (Duration::from_secs(60), Duration::from_secs(60));
        (batch.head, batch.first_content) = (Duration::from_secs(50), Duration::from_secs(50));
        (batch.backoff.1, batch.throttle_backoff.1) = (Duration::from_secs(9), Duration::from_secs(9));
        (batch.idle, batch.content_idle) = (Duration::from_secs(9), Duration::from_secs(9));
        batch.max_server_delay = Duration::from_secs(9);
    });
    let (transport, log) = providers(|_| Does::KeepsSilent);
    let stack = towline::stack(transport).preset(short).queue(Slow).targets(["a", "b"].map(target)).unwrap();
    let came = ask(&stack, ASK).await;
    assert_eq!(
        (&*came.what, &*log.take(), came.after),
        ("202 queued", "a b", 57.0),
        "five seconds before the end, and two for the queue"
    );
}

#[tokio::test(start_paused = true)]
async fn for_legal_work_refusals_are_reviewed_and_never_routed_round() {
    let reviewed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reviewed);
    let legal = |transport| {
        let seen = Arc::clone(&seen);
        let review = move |target: &Target, _: &Failure, _: Option<&towline::Call>| seen.lock().push(target.name().to_owned());
        towline::stack(transport).preset(Preset::legal()).on_refusal(review).targets(["a", "down"].map(target)).unwrap()
    };
    let (transport, log) = providers(|who| if who == "a" { REFUSES } else { Does::Answers });
    let came = ask(&legal(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("400", "a"));
    assert!(came.body.contains("not that"), "in the provider's own words: {}", came.body);
    assert_eq!(*reviewed.lock(), ["a"]);

    let (transport, log) = providers(|who| if who == "a" { DOWN } else { Does::Answers });
    let came = ask(&legal(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take(), came.target.as_deref()), ("200", "a a a down", Some("down")), "not unnoticed");

    let (transport, log) = providers(|_| DOWN);
    let came = ask(&legal(transport), ASK).await;
    assert_eq!((&*came.what, &*log.take()), ("503", "a a a down down down"), "it fails loudly");
}

#[tokio::test(start_paused = true)]
async fn embeddings_come_from_one_model_unless_it_is_said_that_they_mix() {
    let east = || target("east").with_model("e-large");
    let (transport, log) = providers(|who| if who == "east" { DOWN } else { Does::Answers });
    let stack = towline::stack(transport).preset(Preset::embeddings()).targets([east(), target("west").with_model("e-large")]);
    assert_eq!((&*ask(&stack.unwrap(), ASK).await.what, &*log.take()), ("200", "east east east east west"));

    let (transport, log) = providers(|_| DOWN);
    let alone = towline::stack(transport).preset(Preset::embeddings()).targets([east()]).unwrap();
    assert_eq!((&*ask(&alone, ASK).await.what, &*log.take()), ("503", "east east east east"));

    let (transport, log) = providers(|who| if who == "east" { DOWN } else { Does::Answers });
    let mixed = Preset::embeddings().with(|preset| preset.one_model = false);
    let stack = towline::stack(transport).targets([east(), target("other").with_model("x")]).unwrap();
    assert!(stack.clone().preset(Preset::embeddings()).build().is_err());
    assert_eq!((&*ask(&stack.preset(mixed), ASK).await.what, &*log.take()), ("200", "east east east east other"));
}
