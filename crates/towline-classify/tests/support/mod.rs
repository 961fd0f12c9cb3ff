//! A scripted body, a service that answers with it, and a reader that checks every promise a body makes on the way.
#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs, and this is all for tests")]

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use tower::{Layer, Service, ServiceExt};
use towline_classify::{ClassifiedBody, ClassifyLayer};
use towline_core::{Error, Failure, FailureKind, Outcome};

/// What a scripted body does when it is polled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers,
    Break,
    /// `Pending` once.
    Pending,
    /// `Pending` for ever.
    Stall,
}

pub(crate) fn data(text: impl AsRef<str>) -> Step {
    Step::Data(Bytes::copy_from_slice(text.as_ref().as_bytes()))
}

/// A body that follows a script, and is `Send` but not `Sync`, as axum's is. It knows how many of its kind are alive.
#[derive(Debug)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    sized: bool,
    alive: Arc<AtomicUsize>,
    _not_sync: PhantomData<Cell<()>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let alive = Arc::new(AtomicUsize::new(1));
        Self { steps: steps.into_iter().collect(), sized: false, alive, _not_sync: PhantomData }
    }

    /// Its size and end are known beforehand, as with a `content-length`.
    pub(crate) fn sized(mut self) -> Self {
        self.sized = true;
        self
    }

    /// How many such bodies there are.
    pub(crate) fn alive(&self) -> impl Fn() -> usize + use<> {
        let alive = Arc::clone(&self.alive);
        move || alive.load(Ordering::Relaxed)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match this.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers())))),
            Some(Step::Break) => {
                this.steps.clear();
                Poll::Ready(Some(Err(Broken)))
            }
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Stall) => {
                this.steps.push_front(Step::Stall);
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.steps.iter().map(length).sum()) } else { SizeHint::new() }
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.steps.is_empty()
    }
}

fn length(step: &Step) -> u64 {
    if let Step::Data(data) = step { data.len() as u64 } else { 0 }
}

pub(crate) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-end"), http::HeaderValue::from_static("yes"))])
}

/// What came out of a body.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) error: Option<FailureKind>,
}

impl Seen {
    /// What a reader of the bare script would see.
    pub(crate) fn of(steps: &[Step]) -> Self {
        let mut seen = Self::default();
        for step in steps {
            match step {
                Step::Data(data) => seen.data.extend_from_slice(data),
                Step::Trailers => {
                    seen.trailers = Some(trailers());
                    break;
                }
                Step::Break => {
                    seen.error = Some(FailureKind::StreamBroken);
                    break;
                }
                Step::Pending | Step::Stall => {}
            }
        }
        seen
    }
}

/// Reads a body to its end, without waiting: a body that is `Pending` without having woken us would never end.
pub(crate) fn read_all<R>(body: ClassifiedBody<R>) -> Seen
where
    R: Body<Data = Bytes> + Unpin,
{
    let mut body = Box::pin(body);
    let mut seen = Seen::default();
    let mut hints = Vec::new();
    for _ in 0..10_000 {
        hints.push((seen.data.len() as u64, body.size_hint()));
        let ended = body.is_end_stream();
        match body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => assert!(!ended, "a body that has ended has nothing to wait for"),
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(error))) => {
                assert!(!ended);
                seen.error = Some(error.kind());
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!ended, "is_end_stream, and yet a frame came");
                match frame.into_data() {
                    Ok(data) => seen.data.extend_from_slice(&data),
                    Err(frame) => seen.trailers = frame.into_trailers().ok(),
                }
            }
        }
    }
    for (before, hint) in hints {
        let left = seen.data.len() as u64 - before;
        if seen.error.is_none() {
            assert!(hint.lower() <= left, "{hint:?}, and {left} came");
            assert!(hint.upper().is_none_or(|upper| upper >= left), "{hint:?}, and {left} came");
        }
    }
    seen
}

/// A response with these headers; `content-type` is JSON unless said otherwise.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: Script) -> Response<Script> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(body).unwrap()
}

pub(crate) fn request() -> Request<Empty<Bytes>> {
    Request::post("http://provider.test/v1/chat/completions").body(Empty::new()).unwrap()
}

/// Classifies one response with `layer`.
pub(crate) async fn classify(layer: &ClassifyLayer, response: Response<Script>) -> Response<ClassifiedBody<Script>> {
    classify_for(layer, request(), response).await
}

pub(crate) async fn classify_for(
    layer: &ClassifyLayer,
    request: Request<Empty<Bytes>>,
    response: Response<Script>,
) -> Response<ClassifiedBody<Script>> {
    layer.layer(answering(response)).oneshot(request).await.unwrap()
}

/// Classifies one response with a body of the kit's.
pub(crate) async fn serving<R>(response: Response<R>, layer: &ClassifyLayer) -> Result<Response<ClassifiedBody<R>>, Error>
where
    R: Body<Data = Bytes, Error: Into<towline_core::BoxError>> + Unpin,
{
    let mut response = Some(response);
    let service = tower::service_fn(move |_: Request<Empty<Bytes>>| std::future::ready(response.take().ok_or("asked twice")));
    layer.layer(service).oneshot(request()).await
}

/// A service that answers once, with `response`.
pub(crate) fn answering<B>(
    response: Response<Script>,
) -> impl Service<Request<B>, Response = Response<Script>, Error = Error, Future = std::future::Ready<Result<Response<Script>, Error>>>
{
    let mut response = Some(response);
    tower::service_fn(move |_: Request<B>| {
        std::future::ready(response.take().ok_or_else(|| Error::new(Failure::new(FailureKind::Unknown))))
    })
}

/// The kind that was told by an extension, if one was.
pub(crate) fn told<B>(response: &Response<B>) -> Option<FailureKind> {
    response.extensions().get::<Outcome>()?.failure().map(|failure| failure.kind)
}
