//! The demonstration: two simulated providers that misbehave by turns, a call a second, and what becomes of each.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};
use towline::{BoxError, Dialect};
use towline_testkit::{Answer, MockProvider, ProviderError, Received, Reply, Step};

use crate::{app::Gateway, config::Source};

/// Providers that run for as long as this lives.
pub(crate) struct Demo {
    first: MockProvider,
    second: MockProvider,
}

/// How a provider answers.
type Says = fn(&Received) -> Reply;

/// What happens, how often the first provider answers so before it is well again, and how both answer.
const SCENES: [(&str, bool, Says, Says); 13] = [
    ("all is well", false, well, well),
    ("the first limits the rate, once", true, |_| error(ProviderError::RateLimited(Some(Duration::from_millis(300)))), well),
    ("the first resets the connection, once", true, |_| Reply::reset(), well),
    ("the first says 200, and within it that it is overloaded", true, |_| Reply::stream().error_event(SPOKEN, OVERLOADED), well),
    ("the first takes the request and is silent", false, |_| Reply::silence(), well),
    ("the first is down", false, |_| error(OVERLOADED), well),
    ("the first is still down, and is left alone", false, |_| error(OVERLOADED), well),
    ("the first is well again, but who knows", false, well, well),
    ("a probe has found out, or does so now", false, well, well),
    ("the first dies in the middle of its answer", false, |request| well(request).after_pieces(6, Step::Reset), well),
    ("the prompt is too long for the first; a larger window is there", false, |_| error(ProviderError::ContextLength), well),
    ("the first refuses by its policy, and nobody goes around it", false, |_| error(ProviderError::ContentPolicy), well),
    ("both are down", false, |_| error(ProviderError::ServerError), |_| error(OVERLOADED)),
];

const OVERLOADED: ProviderError = ProviderError::Overloaded;
const SPOKEN: Dialect = Dialect::OpenAiChat;

fn well(request: &Received) -> Reply {
    Reply::as_asked(request, SPOKEN, &Answer::text(["I ", "am ", "well, ", "thank ", "you. ", "How ", "are ", "you ", "today?"]))
}

fn error(error: ProviderError) -> Reply {
    Reply::error_of(SPOKEN, error)
}

impl Demo {
    pub(crate) async fn start() -> Result<Self, BoxError> {
        Ok(Self { first: MockProvider::start().await?, second: MockProvider::start().await? })
    }

    /// The file that a user would write for these two.
    pub(crate) fn file(&self) -> Source {
        let text = include_str!("../demo.toml").replace("FIRST", &self.first.url("")).replace("SECOND", &self.second.url(""));
        Source { name: "demo.toml".to_owned(), text }
    }

    /// Asks the gateway at `base`, once in `every`, `calls` times or for ever.
    pub(crate) async fn run(self, base: &str, gateway: &Gateway, calls: Option<usize>, every: Duration) -> Result<(), BoxError> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
        let mut turns = interval(every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (nth, (what, once, first, second)) in SCENES.into_iter().cycle().take(calls.unwrap_or(usize::MAX)).enumerate() {
            turns.tick().await;
            let was = AtomicBool::new(false);
            self.first.respond_with(
                move |request| if once && was.swap(true, Ordering::Relaxed) { well(request) } else { first(request) },
            );
            self.second.respond_with(second);
            let (id, began) = (format!("demo-{nth}"), Instant::now());
            let request = Request::post(format!("{base}/v1/chat/completions")).header("x-request-id", &id);
            let question = r#"{"model":"chat","stream":true,"messages":[{"role":"user","content":"How are you?"}]}"#;
            let (head, body) = client.request(request.body(Full::from(question))?).await?.into_parts();
            let body = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
            let took = began.elapsed().as_millis();
            let told = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
            let by = match told("x-towline-degraded") {
                Some(_) => "nobody, but designed beforehand",
                None => told("x-towline-target").unwrap_or("nobody"),
            };
            println!("\n{:>3}. {what}", nth + 1);
            println!("     {} by {by} within {took} ms: {}", head.status, heard(body));
            let trail = gateway.trail(&id);
            for attempt in trail.iter().filter(|_| trail.len() > 1) {
                println!("       - {attempt}");
            }
        }
        Ok(())
    }
}

/// What a caller hears: the text of all pieces, and the error if there is one.
fn heard<E>(body: Result<String, E>) -> String {
    let Ok(body) = body else { return "an answer that breaks off".to_owned() };
    let events: Vec<Value> =
        body.lines().filter_map(|line| serde_json::from_str(line.trim_start_matches("data: ")).ok()).collect();
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    match events.iter().find_map(|event| event["error"]["message"].as_str()) {
        Some(error) if text.is_empty() => error.to_owned(),
        Some(error) => format!("{text:?}, and then: {error}"),
        None => format!("{text:?}"),
    }
}
