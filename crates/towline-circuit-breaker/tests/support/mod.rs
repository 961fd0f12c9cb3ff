//! A provider in the same process whose answers a test sets.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test binary uses its own part of it, to fail with")]

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Service, ServiceExt};
use towline_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitState, GuardedBody};
use towline_core::{BoxError, Error, Event, FailureKind, Jitter, Observe, StreamHandle, Target};
use towline_testkit::ScriptedBody;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Guarded = CircuitBreaker<Upstream>;

/// What a provider does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// A status with a `retry-after` in seconds.
    RetryAfter(u16, u64),
    /// An error without a response.
    Refused,
    Panic,
    Hang,
    /// That answer after a time.
    After(Duration, Box<Answer>),
    /// A 200 whose body brings these frames. A handle stands in its extensions if there is one.
    Stream(Vec<Step>, Option<StreamHandle>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Data(&'static str),
    Wait(Duration),
    Break,
    Hang,
}

/// Answers as it was last told. Clones are the same provider.
#[derive(Clone)]
pub(crate) struct Upstream(Arc<(Mutex<Answer>, AtomicUsize)>);

impl Upstream {
    pub(crate) fn new(answer: Answer) -> Self {
        Self(Arc::new((Mutex::new(answer), AtomicUsize::new(0))))
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.0.0.lock() = answer;
    }

    /// How many requests have come.
    pub(crate) fn sent(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Service<Request<Full<Bytes>>> for Upstream {
    type Response = Response<ScriptedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ScriptedBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Full<Bytes>>) -> Self::Future {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        Box::pin(answer(self.0.0.lock().clone()))
    }
}

async fn answer(mut answer: Answer) -> Result<Response<ScriptedBody>, BoxError> {
    while let Answer::After(wait, then) = answer {
        tokio::time::sleep(wait).await;
        answer = *then;
    }
    let short = |status| Response::builder().status(status).body(ScriptedBody::new().data("{}").with_length(2).with_known_end());
    match answer {
        Answer::Status(status) => Ok(short(status)?),
        Answer::RetryAfter(status, secs) => {
            let mut told = short(status)?;
            told.headers_mut().insert("retry-after", secs.into());
            Ok(told)
        }
        Answer::Stream(steps, handle) => {
            let mut stream = Response::new(body(steps));
            handle.map(|handle| stream.extensions_mut().insert(handle));
            Ok(stream)
        }
        Answer::Refused => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        Answer::Panic => panic!("the provider's client has a bug"),
        Answer::Hang | Answer::After(..) => std::future::pending().await,
    }
}

fn body(steps: impl IntoIterator<Item = Step>) -> ScriptedBody {
    steps.into_iter().fold(ScriptedBody::new(), |body, step| match step {
        Step::Data(data) => body.data(data),
        Step::Wait(wait) => body.wait(wait),
        Step::Break => body.error(io::Error::from(io::ErrorKind::ConnectionReset)),
        Step::Hang => body.hang(),
    })
}

/// The defaults with a known jitter.
pub(crate) fn layer() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new().jitter(Jitter::seeded(7))
}

pub(crate) fn request() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

pub(crate) fn request_to(target: &str) -> Request<Full<Bytes>> {
    let mut request = request();
    request.extensions_mut().insert(Target::new(target, "http://host").unwrap());
    request
}

/// Sends a request and waits for the head of the response.
pub(crate) async fn head(service: &Guarded) -> Result<Response<GuardedBody<ScriptedBody>>, Error> {
    service.clone().oneshot(request()).await
}

/// Sends a request and reads the response to its end.
pub(crate) async fn ask(service: &Guarded) -> Result<StatusCode, FailureKind> {
    ask_with(service, request()).await
}

pub(crate) async fn ask_with(service: &Guarded, request: Request<Full<Bytes>>) -> Result<StatusCode, FailureKind> {
    let response = service.clone().oneshot(request).await.map_err(|error| error.kind())?;
    let status = response.status();
    response.into_body().collect().await.map_err(|_| FailureKind::StreamBroken)?;
    Ok(status)
}

/// Has the provider fail until the circuit opens, and says how long it will stay so.
pub(crate) async fn trip(layer: &CircuitBreakerLayer, service: &Guarded, upstream: &Upstream) -> Duration {
    upstream.answers(Answer::Status(503));
    for _ in 0..100 {
        let _ = ask(service).await;
        if let CircuitState::Open { retry_after } = layer.handle().state(None) {
            return retry_after;
        }
    }
    panic!("a hundred failures open it");
}

/// Opens the circuit and lets its open time pass, so that the next request is a probe.
pub(crate) async fn half_open(layer: &CircuitBreakerLayer, service: &Guarded, upstream: &Upstream) {
    let open = trip(layer, service, upstream).await;
    tokio::time::advance(open).await;
    assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
}

/// Runs a task up to the point where it waits.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Writes down the names of what it is told, and whose.
#[derive(Default)]
pub(crate) struct Log(pub(crate) Mutex<Vec<String>>);

impl Observe for Log {
    fn observe(&self, event: &Event<'_>) {
        let (what, target) = match event {
            Event::CircuitOpened { target, .. } => ("opened", target),
            Event::CircuitHalfOpened { target } => ("half-opened", target),
            Event::CircuitClosed { target } => ("closed", target),
            Event::CircuitRejected { target, .. } => ("rejected", target),
            _ => return,
        };
        self.0.lock().push(format!("{what} {}", target.map_or("-", Target::name)));
    }
}
