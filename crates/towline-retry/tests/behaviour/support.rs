//! A provider in this process that answers by number, and a listener that writes down what it is told.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use towline_core::{BoxError, Call, Error, Event, Facts, Failure, Observe, Outcome};

pub(crate) type Body = Full<Bytes>;
pub(crate) type Answer = Result<Response<Body>, BoxError>;

/// The requests that arrived, and when.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Arrival>>>);

type Arrival = (Instant, Request<()>);

impl Log {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn times(&self) -> Vec<Instant> {
        self.0.lock().iter().map(|(at, _)| *at).collect()
    }

    /// The waits between one request and the next.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.times().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    pub(crate) fn header(&self, nth: usize, name: &str) -> Option<String> {
        self.0.lock()[nth].1.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) fn note<B>(&self, request: Request<B>) -> usize {
        let mut log = self.0.lock();
        log.push((Instant::now(), request.map(drop)));
        log.len()
    }
}

/// A provider that gives its nth request, counted from 1, the nth answer.
pub(crate) fn provider<F>(answer: F) -> (Log, Provider<F>)
where
    F: Fn(usize) -> Answer + Clone,
{
    let log = Log::default();
    (log.clone(), Provider { log, answer })
}

#[derive(Clone)]
pub(crate) struct Provider<F> {
    log: Log,
    answer: F,
}

impl<F: Fn(usize) -> Answer> Service<Request<Body>> for Provider<F> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Ready<Answer> {
        ready((self.answer)(self.log.note(request)))
    }
}

/// Sends one request, and tells how long it took.
pub(crate) async fn ask<S>(service: S) -> (Result<Response<Body>, Error>, Duration)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error>,
{
    let began = Instant::now();
    let result = service.oneshot(request()).await;
    (result, began.elapsed())
}

pub(crate) fn request() -> Request<Body> {
    request_to("http://host/v1/messages")
}

pub(crate) fn request_to(url: &str) -> Request<Body> {
    Request::post(url).header("x-api-key", "k").body(Full::from("{}")).unwrap()
}

/// A request of a call that has `left` until its deadline.
pub(crate) fn request_with(left: Option<Duration>) -> (Call, Request<Body>) {
    let now = Instant::now();
    let call = Call::new(Facts::default(), now, left.map(|left| now + left));
    let mut request = request();
    request.extensions_mut().insert(call.clone());
    (call, request)
}

pub(crate) fn status(status: u16) -> Answer {
    with_headers(status, &[])
}

pub(crate) fn with_headers(status: u16, headers: &[(&str, &str)]) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(Full::from("an answer")).unwrap())
}

/// What `ClassifyLayer` hands on of a failure.
pub(crate) fn classified(status: u16, outcome: Outcome) -> Answer {
    let mut response = Response::builder().status(status).body(Full::from("in memory")).unwrap();
    response.extensions_mut().insert(outcome);
    Ok(response)
}

pub(crate) fn error(failure: Failure) -> Answer {
    Err(Error::new(failure).into())
}

pub(crate) async fn text(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Writes down what it is told, in a few words.
#[derive(Clone, Default)]
pub(crate) struct Listener(Arc<Mutex<Vec<String>>>);

impl Listener {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Observe for Listener {
    fn observe(&self, event: &Event<'_>) {
        let at = |target: &Option<&towline_core::Target>| target.map_or(String::new(), |target| format!("{}: ", target.name()));
        let words = match event {
            Event::AttemptFailed { target, attempt, failure } => format!("{}{attempt} failed, {}", at(target), failure.kind),
            Event::AttemptSucceeded { target, attempt } => format!("{}{attempt} succeeded", at(target)),
            Event::RetryScheduled { target, attempt, failure, .. } => format!("{}{attempt} comes, {}", at(target), failure.kind),
            Event::RetryStopped { target, attempts, reason, .. } => format!("{}stopped at {attempts}, {reason:?}", at(target)),
            other => format!("unexpected: {other:?}"),
        };
        self.0.lock().push(words);
    }
}
