//! Two providers and a stack before them.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use towline::{Credential, Stack, StackService, Target};
use towline_testkit::{Answer, Dialect, HeldClock, MockProvider};
use towline_tests::{Body, Got, Hyper, ask, hyper};

pub const SECOND: Duration = Duration::from_secs(1);
/// How far the clock moves at once.
const STEP: Duration = Duration::from_millis(50);

pub type Service = StackService<Hyper>;

pub struct Pair {
    pub first: MockProvider,
    pub second: MockProvider,
    pub clock: HeldClock,
}

impl Pair {
    /// Both are well, and count to 60.
    pub async fn start(dialect: Dialect) -> Self {
        let (first, second) = (MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap());
        first.speak(dialect, answer().model("first-model"));
        second.speak(dialect, answer().model("second-model"));
        Self { first, second, clock: HeldClock::hold() }
    }

    /// With the defaults of each layer.
    pub fn stack(&self) -> Stack<Hyper> {
        towline::stack(hyper()).targets([self.target("first", &self.first), self.target("second", &self.second)]).unwrap()
    }

    pub fn target(&self, name: &str, provider: &MockProvider) -> Target {
        let credential = Credential::bearer(format!("key-of-{name}")).unwrap();
        Target::new(name, provider.url("")).unwrap().with_credential(credential)
    }

    pub async fn ask(&self, service: &Service, request: Request<Body>) -> Got {
        self.clock.drive(STEP, ask(service.clone(), request)).await
    }

    pub async fn wait(&self, time: Duration) {
        self.clock.drive(STEP, tokio::time::sleep(time)).await;
    }

    pub fn hits(&self) -> [usize; 2] {
        [self.first.hits(), self.second.hits()]
    }
}

pub fn answer() -> Answer {
    Answer::counting(60)
}

/// A request in this dialect.
pub fn request(dialect: Dialect, stream: bool) -> Request<Body> {
    let path = match (dialect, stream) {
        (Dialect::Anthropic, _) => "/v1/messages",
        (Dialect::OpenAiResponses, _) => "/v1/responses",
        (Dialect::Gemini, true) => "/v1beta/models/m:streamGenerateContent?alt=sse",
        (Dialect::Gemini, false) => "/v1beta/models/m:generateContent",
        (Dialect::Bedrock, true) => "/model/m/converse-stream",
        (Dialect::Bedrock, false) => "/model/m/converse",
        _ => "/v1/chat/completions",
    };
    let body = format!(r#"{{"model":"m","stream":{stream},"max_tokens":60,"messages":[{{"role":"user","content":"count"}}]}}"#);
    Request::post(path).header("content-type", "application/json").body(Full::from(body)).unwrap()
}

pub fn chat(stream: bool) -> Request<Body> {
    request(Dialect::OpenAiChat, stream)
}
