//! A provider in the same process that answers by script, behind a contract probe.

use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::Service;
use towline::{BoxError, Call, Target};
use towline_testkit::{Probe, ProbeReport, ScriptedBody};
use towline_tests::Body;

/// An error in the shape of a success.
pub const HIDDEN: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
/// A 429 whose body tells that waiting is of no use.
pub const SPENT: &str =
    r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
/// An event with content, and the one that ends a stream.
pub const CONTENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";
pub const PING: &str = ": ping\n\n";

/// What the provider does with a request.
#[derive(Clone)]
pub struct Answer {
    wait: Duration,
    what: What,
}

#[derive(Clone)]
enum What {
    Response { status: u16, headers: Vec<(&'static str, &'static str)>, pieces: Vec<Piece> },
    Refuse,
    Hang,
}

#[derive(Clone, Copy)]
enum Piece {
    Data(&'static str),
    Wait(Duration),
}

/// A JSON answer of `{}`.
pub fn status(status: u16) -> Answer {
    let headers = vec![("content-type", "application/json")];
    Answer { wait: Duration::ZERO, what: What::Response { status, headers, pieces: vec![Piece::Data("{}")] } }
}

/// An event stream with nothing in it yet.
pub fn stream() -> Answer {
    let headers = vec![("content-type", "text/event-stream")];
    Answer { wait: Duration::ZERO, what: What::Response { status: 200, headers, pieces: Vec::new() } }
}

/// A connection that is refused.
pub fn refused() -> Answer {
    Answer { wait: Duration::ZERO, what: What::Refuse }
}

/// A provider that never answers.
pub fn silence() -> Answer {
    Answer { wait: Duration::ZERO, what: What::Hang }
}

impl Answer {
    /// That answer after a time.
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    pub fn retry_after(self, seconds: &'static str) -> Self {
        self.with(|headers, _| headers.push(("retry-after", seconds)))
    }

    /// Another body than `{}`.
    pub fn body(self, body: &'static str) -> Self {
        self.bodiless().then(body)
    }

    /// No body, unless more is said.
    pub fn bodiless(self) -> Self {
        self.with(|_, pieces| pieces.clear())
    }

    /// More of the body.
    pub fn then(self, data: &'static str) -> Self {
        self.with(|_, pieces| pieces.push(Piece::Data(data)))
    }

    /// A pause in the body.
    pub fn pause(self, wait: Duration) -> Self {
        self.with(|_, pieces| pieces.push(Piece::Wait(wait)))
    }

    fn with(mut self, change: impl FnOnce(&mut Vec<(&'static str, &'static str)>, &mut Vec<Piece>)) -> Self {
        if let What::Response { headers, pieces, .. } = &mut self.what {
            change(headers, pieces);
        }
        self
    }

    async fn give(self) -> Result<Response<ScriptedBody>, BoxError> {
        if !self.wait.is_zero() {
            sleep(self.wait).await;
        }
        match self.what {
            What::Hang => std::future::pending().await,
            What::Refuse => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            What::Response { status, headers, pieces } => {
                let response =
                    headers.into_iter().fold(Response::builder().status(status), |r, (name, value)| r.header(name, value));
                Ok(response.body(body(&pieces))?)
            }
        }
    }
}

fn body(pieces: &[Piece]) -> ScriptedBody {
    let whole = match pieces {
        [Piece::Data(data)] => Some(data.len()),
        _ => None,
    };
    let body = pieces.iter().fold(ScriptedBody::new(), |body, piece| match piece {
        Piece::Data(data) => body.data(*data),
        Piece::Wait(wait) => body.wait(*wait),
    });
    match whole {
        Some(length) => body.with_length(length as u64).with_known_end(),
        None => body,
    }
}

/// What reached the provider.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The target's name, `-` where there was none.
    pub target: String,
    pub at: Instant,
    /// How long the call had left, if it had a deadline.
    pub left: Option<Duration>,
    pub body: String,
}

/// The provider. Everything that is sent to it goes through a probe; when it goes out of scope at the end of a test it asserts
/// that the probe has seen no breach, and that nothing is under way or held ready any more.
pub struct Provider {
    upstream: Upstream,
    probe: Probe<Upstream>,
    report: ProbeReport,
}

/// The service beneath the probe. Clones are the same provider.
#[derive(Clone)]
pub struct Upstream(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    always: HashMap<&'static str, Answer>,
    log: Vec<Sent>,
}

impl Provider {
    /// One that gives these answers, one a request and in this order, then 200s.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_room(8, answers)
    }

    /// One that has room for so many calls at once.
    pub fn with_room(room: usize, answers: impl IntoIterator<Item = Answer>) -> Self {
        let upstream = Upstream(Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() })));
        let (probe, report) = Probe::with_limit(upstream.clone(), room);
        Self { upstream, probe, report }
    }

    /// What a target always answers once the script is used up; `-` is a request without a target.
    pub fn always(self, target: &'static str, answer: Answer) -> Self {
        self.now(target, answer);
        self
    }

    /// The same from now on.
    pub fn now(&self, target: &'static str, answer: Answer) {
        self.upstream.0.lock().always.insert(target, answer);
    }

    /// Forgets the script.
    pub fn recover(&self) {
        let mut script = self.upstream.0.lock();
        script.answers.clear();
        script.always.clear();
    }

    /// The service to put layers on.
    pub fn transport(&self) -> Probe<Upstream> {
        self.probe.clone()
    }

    pub fn report(&self) -> &ProbeReport {
        &self.report
    }

    /// How many attempts were sent.
    pub fn sent(&self) -> usize {
        self.report.calls()
    }

    pub fn log(&self) -> Vec<Sent> {
        self.upstream.0.lock().log.clone()
    }

    /// Which targets were asked, in order: `a a b`.
    pub fn targets(&self) -> String {
        self.log().into_iter().map(|sent| sent.target).collect::<Vec<_>>().join(" ")
    }

    /// Asserts that the layers above kept tower's contract and hold nothing.
    pub fn assert_idle(&self) {
        self.report.assert_clean();
        assert_eq!((self.report.live(), self.report.reserved()), (0, 0), "calls under way, places held");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.assert_idle();
        }
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<ScriptedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ScriptedBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let target = Target::of(&parts.extensions).map_or("-", Target::name).to_owned();
        let left = Call::of(&parts.extensions).and_then(|call| call.remaining(Instant::now()));
        let mut script = self.0.lock();
        let answer = script.answers.pop_front().or_else(|| script.always.get(&*target).cloned());
        script.log.push(Sent { target, at: Instant::now(), left, body: text(body) });
        Box::pin(answer.unwrap_or_else(|| status(200)).give())
    }
}

/// A body in memory is there at once.
fn text(body: Body) -> String {
    match pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(body)) => String::from_utf8(body.to_bytes().into()).unwrap(),
        Poll::Pending => unreachable!("it lies in memory"),
    }
}
