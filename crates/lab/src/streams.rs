//! `lab streams`: what classify adds to each event of a stream, beside the body alone.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Empty;
use lab::BoxError;
use tower::{Layer, Service};
use towline::ClassifyLayer;

use crate::table;

/// Every round takes every shape once.
const ROUNDS: usize = 21;

/// Events of a stream, so many that its head does not count.
const EVENTS: u32 = 20_000;

/// A name, an event, and the end that makes the stream whole.
type Shape = (&'static str, &'static str, &'static str);

const SHAPES: [Shape; 2] = [
    (
        "OpenAI Chat Completions",
        concat!(
            r#"data: {"id":"chatcmpl-CJ8mJ2vXq0aB4","object":"chat.completion.chunk","created":1763700000,"model":"gpt-5-2025-08-07","#,
            r#""service_tier":"default","system_fingerprint":"fp_9e15ccd6a4","choices":[{"index":0,"delta":{"content":" layer"},"logprobs":null,"finish_reason":null}]}"#,
            "\n\n"
        ),
        "data: [DONE]\n\n",
    ),
    (
        "Anthropic Messages",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" layer\"}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
];

/// A stream whose every frame is there when it is asked for, one event in each.
struct Events {
    event: Bytes,
    end: Option<Bytes>,
    left: u32,
}

pub(crate) fn print() -> Result<(), BoxError> {
    let mut best = [[f64::INFINITY; 2]; SHAPES.len()];
    for _ in 0..ROUNDS {
        for (shape, best) in SHAPES.iter().zip(&mut best) {
            best[0] = best[0].min(read(Events::new(shape))?);
            best[1] = best[1].min(read(classified(shape)?)?);
        }
    }
    println!("Nanoseconds per event of a stream, one event a frame, the best of {ROUNDS} rounds of {EVENTS} events.\n");
    let rows = SHAPES.iter().zip(best).map(|((name, event, _), [bare, classified])| {
        let figure = |ns: f64| format!("{ns:.0}");
        vec![(*name).to_owned(), event.len().to_string(), figure(bare), figure(classified), figure(classified - bare)]
    });
    table::print(&["events of", "bytes each", "the body alone", "through classify", "classify's own"], &rows.collect::<Vec<_>>());
    Ok(())
}

/// Nanoseconds for each event of a body that is read to its end.
#[allow(clippy::disallowed_methods, reason = "the lab takes real time")]
fn read<B: Body>(body: B) -> Result<f64, BoxError>
where
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    let began = Instant::now();
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        std::hint::black_box(frame.map_err(Into::into)?);
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(EVENTS))
}

/// The same stream as classify hands it on: its first content has come, and the rest flows.
fn classified(shape: &'static Shape) -> Result<impl Body<Error = towline::Error> + use<>, BoxError> {
    let provider = tower::service_fn(move |_: Request<Empty<Bytes>>| async move {
        Ok::<_, BoxError>(Response::builder().header("content-type", "text/event-stream").body(Events::new(shape))?)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let response = runtime.block_on(ClassifyLayer::new().layer(provider).call(Request::new(Empty::new())))?;
    Ok(response.into_body())
}

impl Events {
    fn new((_, event, end): &Shape) -> Self {
        Self { event: Bytes::from_static(event.as_bytes()), end: Some(Bytes::from_static(end.as_bytes())), left: EVENTS }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(self.event.clone())
            }
            None => self.end.take(),
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }
}
