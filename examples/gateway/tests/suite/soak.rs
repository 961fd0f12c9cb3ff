//! 200 streams at once while one provider flaps: no event is lost or mixed up, and memory stays flat.
//!
//! 20 s of it are part of all tests; `cargo xtask soak 5` is five minutes, and prints the memory of the gateway's process.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};
use towline_testkit::{Answer, Dialect, MockProvider, ProviderError, Received, Reply, Step};

use crate::support::{Gateway, Said, base_url, provider, resident};

const CHAT: Dialect = Dialect::OpenAiChat;
const CALLERS: usize = 200;
/// Events of a stream, a tenth of a second apart, and how many come of one that is cut.
const EVENTS: usize = 10;
const CUT: usize = 4;

/// What became of all streams.
#[derive(Default)]
struct Tally {
    by_primary: AtomicUsize,
    by_second: AtomicUsize,
    cut: AtomicUsize,
}

/// What the stream of a question says, which holds the question's own name in each event, and its number.
fn events(name: &str, n: usize) -> Vec<String> {
    (0..n).map(|event| format!("{name}:{event} ")).collect()
}

fn stream(request: &Received, model: &str) -> Reply {
    let question: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let name = question["messages"][0]["content"].as_str().unwrap();
    let reply = Reply::stream_of(CHAT, &Answer::text(events(name, EVENTS)).model(model));
    (1..EVENTS).fold(reply, |reply, event| reply.after_pieces(event, Step::Wait(Duration::from_millis(100))))
}

/// A provider that is well for a while and unwell for a while, in one way after the other.
fn flapping(unwell: Arc<AtomicBool>) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |request| {
        let way = asked.fetch_add(1, Ordering::Relaxed) % 4;
        match way {
            _ if !unwell.load(Ordering::Relaxed) => stream(request, "primary"),
            0 => Reply::error_of(CHAT, ProviderError::Overloaded),
            1 => Reply::reset(),
            2 => stream(request, "primary").after_pieces(0, Step::Close),
            _ => stream(request, "primary").after_pieces(CUT, Step::Close),
        }
    }
}

/// One stream after the other, each with a name that no other has.
async fn caller(gateway: Arc<Gateway>, caller: usize, until: Instant, tally: Arc<Tally>) {
    for call in 0.. {
        if Instant::now() >= until {
            return;
        }
        let name = format!("caller-{caller}-call-{call}");
        let question = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": name}]});
        let answer = timeout(Duration::from_secs(60), gateway.post("/v1/chat/completions", question)).await.unwrap();
        let said = Said::read(CHAT, &answer);
        let whole = said.finished && said.error.is_none();
        let expected = events(&name, if whole { EVENTS } else { CUT }).concat();
        assert_eq!((answer.status, &*said.text, said.unreadable), (200, &*expected, 0), "{}", answer.text());
        assert!(whole || !said.finished && said.error.is_some(), "it is whole, or says that it is not: {said:?}");
        let counter = match said.model.as_deref() {
            Some("primary") if whole => &tally.by_primary,
            Some("primary") => &tally.cut,
            Some("second") if whole => &tally.by_second,
            _ => panic!("{name} is no stream of the primary's that was cut: {said:?}"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The memory of the gateway in KiB, second by second, until the end.
async fn memory(gateway: &Gateway, until: Instant, unwell: &AtomicBool) -> Vec<u64> {
    let (mut every, mut series) = (interval(Duration::from_secs(1)), Vec::new());
    while Instant::now() < until {
        every.tick().await;
        series.push(resident(gateway));
        // Well for two seconds, unwell for one.
        unwell.store(series.len() % 3 == 0, Ordering::Relaxed);
    }
    series
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_lose_and_mix_up_nothing_while_a_provider_flaps() {
    let seconds = env::var("TOWLINE_SOAK_SECONDS").map_or(20, |seconds| seconds.parse().unwrap());
    let [primary, second] = [MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap()];
    let unwell = Arc::new(AtomicBool::new(false));
    primary.respond_with(flapping(Arc::clone(&unwell)));
    second.respond_with(|request| stream(request, "second"));
    let breaker =
        "circuit_breaker = { failure_threshold = 20, window = \"1s\", open_for = \"200ms\", probes = 4, success_threshold = 4 }";
    let config = provider("primary", CHAT, &base_url(CHAT, &primary), breaker)
        + &provider("second", CHAT, &base_url(CHAT, &second), "")
        + "[[models]]\nname = \"chat\"\nbackoff = { base = \"5ms\", max = \"20ms\" }\n"
        + "targets = [{ provider = \"primary\", model = \"m\", retries = 1 }, { provider = \"second\", model = \"n\" }]\n";
    let gateway = Arc::new(Gateway::start(&config).await);
    let (until, tally) = (Instant::now() + Duration::from_secs(seconds), Arc::new(Tally::default()));
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        callers.spawn(caller(Arc::clone(&gateway), n, until, Arc::clone(&tally)));
    }
    let series = memory(&gateway, until, &unwell).await;
    let mut failed = 0;
    while let Some(caller) = callers.join_next().await {
        failed += usize::from(caller.is_err());
    }
    assert_eq!(failed, 0, "callers whose streams were not as they should be");
    let [by_primary, by_second, cut] =
        [&tally.by_primary, &tally.by_second, &tally.cut].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{CALLERS} callers, {seconds} s: {by_primary} streams by the primary, {by_second} by the second, {cut} cut and told so"
    );
    println!(
        "resident memory of the gateway in MiB, every 10 s: {:?}",
        series.iter().step_by(10).map(|kib| kib / 1024).collect::<Vec<_>>()
    );
    assert!(by_primary > 0 && by_second > 0 && cut > 0);
    stays_flat(&series);
}

/// From the second minute to the last no more than a tenth is added; and never much, where there is no such time.
fn stays_flat(series: &[u64]) {
    let highest = |minute: &[u64]| minute.iter().copied().max().unwrap_or(0);
    assert!(highest(series) < 256 * 1024, "{series:?}");
    if series.len() >= 180 {
        let (second, last) = (highest(&series[60..120]), highest(&series[series.len() - 60..]));
        println!("highest in the second minute {second} KiB, in the last {last} KiB");
        assert!(last <= second + second / 10, "{series:?}");
    }
}
