//! A primary that misbehaves, a second that does not, the stack before them, and what both sides see.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use towline::{CallLayer, ClassifyLayer, Credential, FallbackLayer, Stack, StackService, Target, TimeoutLayer};
use towline_testkit::{Dialect, Fault, HeldClock, MockProvider, Received};
use towline_tests::{Body, Got, Hyper, ask, hyper};

use crate::{expected::expected, outage};

/// How far the clock moves at once; also how much later than said anything may happen.
pub const STEP: Duration = Duration::from_millis(50);

/// A stack that is not built yet.
pub type Plain = Stack<Hyper>;

type Service = StackService<Hyper>;

pub struct Bench {
    pub dialect: Dialect,
    pub stream: bool,
    pub primary: MockProvider,
    pub second: MockProvider,
    pub clock: HeldClock,
    service: Service,
}

/// One fault, from both sides.
pub async fn meets(fault: Fault, dialect: Dialect, stream: bool) {
    let bench = Bench::start(fault, dialect, stream, |stack| stack).await;
    if fault == Fault::Outage {
        return outage::is_ridden_out(&bench).await;
    }
    let got = bench.ask().await;
    let expected = expected(fault, stream);
    let whole = bench.direct(expected.model).await;
    expected.check_caller(&got, &whole);
    bench.check_providers(&expected.asked, expected.gaps);
    assert_eq!(bench.primary.cancellations(), usize::from(expected.dropped), "connections that we dropped");
    bench.is_well_afterwards().await;
}

impl Bench {
    /// With what `change` makes of the stack.
    pub async fn start(fault: Fault, dialect: Dialect, stream: bool, change: impl FnOnce(Plain) -> Plain) -> Self {
        let (clock, (primary, second)) = (HeldClock::hold(), fault.start(dialect).await.unwrap());
        let (first, other) = targets(&primary, &second);
        let fallback = FallbackLayer::new([first, other]).unwrap();
        let service = change(limited(fallback)).build().unwrap();
        Self { dialect, stream, primary, second, clock, service }
    }

    /// The same, whole, with another fallback.
    pub async fn with_fallback(
        fault: Fault,
        dialect: Dialect,
        fallback: impl FnOnce(&MockProvider, &MockProvider) -> FallbackLayer,
    ) -> Self {
        let (clock, (primary, second)) = (HeldClock::hold(), fault.start(dialect).await.unwrap());
        let service = limited(fallback(&primary, &second)).build().unwrap();
        Self { dialect, stream: false, primary, second, clock, service }
    }

    fn body(&self) -> String {
        format!(
            r#"{{ "model": "mine", "stream": {}, "stream_options": {{"include_usage": true}}, "max_tokens": 99, "messages": [{{"role": "user", "content": "count"}}] }}"#,
            self.stream
        )
    }

    /// What each caller sends.
    pub fn request(&self) -> Request<Body> {
        let path = if self.dialect == Dialect::Anthropic { "/v1/messages" } else { "/v1/chat/completions" };
        let request = Request::post(path).header("content-type", "application/json").header("x-mine", "kept");
        request.header("authorization", "Bearer the-callers-own").body(Full::from(self.body())).unwrap()
    }

    /// Asks once, reads all there is, and lets time pass meanwhile.
    pub async fn ask(&self) -> Got {
        self.clock.drive(STEP, ask(self.service.clone(), self.request())).await
    }

    /// What a healthy provider would have answered.
    pub async fn direct(&self, model: &str) -> Bytes {
        let healthy = MockProvider::start().await.unwrap();
        healthy.speak(self.dialect, Fault::answer().model(model));
        let (mut parts, body) = self.request().into_parts();
        parts.uri = healthy.url(parts.uri.path()).parse().unwrap();
        let response = self.clock.drive(STEP, hyper().request(Request::from_parts(parts, body))).await.unwrap();
        self.clock.drive(STEP, response.into_body().collect()).await.unwrap().to_bytes()
    }

    /// How often each was asked, how long the pauses at the primary were, and that each attempt was made of the caller's own request.
    pub fn check_providers(&self, asked: &[usize; 2], [from, to]: [u64; 2]) {
        let (primary, second) = (self.primary.requests(), self.second.requests());
        assert_eq!([primary.len(), second.len()], *asked, "attempts at each");
        for pair in primary.windows(2) {
            let gap = pair[1].at - pair[0].at;
            let (from, to) = (Duration::from_millis(from), Duration::from_millis(to) + 10 * STEP);
            assert!((from..=to).contains(&gap), "a pause of {gap:?}, not of {from:?} to {to:?}");
        }
        let own = self.body();
        for received in &primary {
            assert_eq!(received.text(), own, "byte for byte");
            check_head(received, ("authorization", "Bearer key-one"), "x-api-key");
        }
        for received in &second {
            assert_eq!(
                received.text(),
                own.replace("\"mine\"", &format!("\"{}\"", Fault::FALLBACK)),
                "made anew of the original"
            );
            check_head(received, ("x-api-key", "key-two"), "authorization");
        }
    }

    /// Whatever happened before, the next call to a primary that is well again has its whole answer from there.
    async fn is_well_afterwards(&self) {
        let before = self.second.hits();
        self.primary.speak(self.dialect, Fault::answer().model(Fault::PRIMARY));
        // Nobody need know of an open circuit: what it was opened by is long past.
        self.clock.drive(Duration::from_secs(1), tokio::time::sleep(Duration::from_secs(120))).await;
        let got = self.ask().await;
        let direct = self.direct(Fault::PRIMARY).await;
        assert_eq!((got.status, got.error, got.body == direct), (200, None, true));
        assert_eq!(self.second.hits(), before);
    }
}

/// The defaults of each layer but for the limits of the bench.
fn limited(fallback: FallbackLayer) -> Plain {
    let limit = Duration::from_secs(10);
    let limits = TimeoutLayer::attempt().head(limit).unwrap().first_content(limit).unwrap().idle(limit).unwrap();
    towline::stack(hyper())
        .call(CallLayer::new().deadline(Duration::from_secs(30)).unwrap())
        .fallback(fallback.answer_headers(true))
        .attempt_timeout(limits)
        .classify(ClassifyLayer::new().usage(true))
}

/// Each with a credential in another place, and the second with a model of its own.
pub fn targets(primary: &MockProvider, second: &MockProvider) -> (Target, Target) {
    let primary = Target::new("primary", primary.url("")).unwrap().with_credential(Credential::bearer("key-one").unwrap());
    let second = Target::new("second", second.url("")).unwrap().with_model(Fault::FALLBACK);
    (primary, second.with_credential(Credential::header("x-api-key", "key-two").unwrap()))
}

fn check_head(received: &Received, (name, key): (&str, &str), absent: &str) {
    assert_eq!((received.header(name), received.header(absent)), (Some(key), None), "its own credential alone");
    assert_eq!((received.header("x-mine"), received.header("accept-encoding")), (Some("kept"), Some("identity")));
    assert!(received.complete);
}
