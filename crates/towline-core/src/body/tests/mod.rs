//! A scripted body, and a reader that checks every promise a body makes on the way.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use proptest::prelude::*;

use super::*;
use crate::BoxError;

mod drain;
mod held;
mod observe_end;
mod read_up_to;
mod replay;

/// What a scripted body does when it is polled.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Data(&'static str),
    Trailers,
    Error,
    /// `Pending` once.
    Pending,
    /// `Pending` for ever.
    Stall,
}

use Step::{Data, Error, Pending, Stall, Trailers};

/// A body that follows a script, and is `Send` but not `Sync`, as axum's is.
#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    /// Whether size and end are known beforehand, as with a `content-length`, or not, as with chunked coding.
    sized: bool,
    gone: OnDrop,
    _not_sync: PhantomData<Cell<()>>,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), sized: false, gone: OnDrop(Arc::default()), _not_sync: PhantomData }
    }

    fn sized(self) -> Self {
        Self { sized: true, ..self }
    }

    /// Tells whether the body has been dropped.
    fn gone(&self) -> impl Fn() -> bool + use<> {
        let gone = self.gone.0.clone();
        move || gone.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.steps.front() == Some(&Stall) {
            return Poll::Pending;
        }
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
            Some(Trailers) => Some(Ok(Frame::trailers(trailers()))),
            Some(Error) => {
                self.steps.clear();
                Some(Err(Broken))
            }
            Some(Pending | Stall) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(bytes_in(&self.steps)) } else { SizeHint::new() }
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.steps.is_empty()
    }
}

fn bytes_in<'a>(steps: impl IntoIterator<Item = &'a Step>) -> u64 {
    steps.into_iter().map(|step| if let Data(data) = step { data.len() as u64 } else { 0 }).sum()
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("end"))])
}

/// What a reader gets: the same words as a script's, without the waiting.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    data: String,
    frames: usize,
    trailers: bool,
    error: Option<String>,
    ended: bool,
}

/// Reads at most `frames` frames, without waiting for what never comes, and checks at each step what the body says of itself.
fn read<B>(body: &mut B, frames: usize) -> Seen
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut seen = Seen::default();
    let mut hints = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut idle = 0;
    while seen.frames < frames && !seen.ended && seen.error.is_none() && idle < 100 {
        let said_end = body.is_end_stream();
        hints.push((seen.data.len() as u64, body.size_hint()));
        match Pin::new(&mut *body).poll_frame(&mut cx) {
            Poll::Pending => {
                assert!(!said_end, "it said that it had ended");
                idle += 1;
            }
            Poll::Ready(None) => seen.ended = true,
            Poll::Ready(Some(Err(error))) => {
                assert!(!said_end, "it said that it had ended");
                seen.error = Some(error.into().to_string());
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!said_end, "it said that it had ended");
                assert!(!seen.trailers, "nothing comes after trailers");
                seen.frames += 1;
                match frame.into_data() {
                    Ok(data) => seen.data.push_str(std::str::from_utf8(&data).unwrap()),
                    Err(frame) => {
                        assert_eq!(frame.into_trailers().ok(), Some(trailers()));
                        seen.trailers = true;
                    }
                }
            }
        }
    }
    if seen.ended {
        hints.push((seen.data.len() as u64, body.size_hint()));
        for (before, hint) in hints {
            let came = seen.data.len() as u64 - before;
            assert!(hint.lower() <= came, "{hint:?} promised more than {came}");
            assert!(hint.upper().is_none_or(|upper| upper >= came), "{hint:?} promised less than {came}");
        }
    }
    seen
}

fn read_all<B>(body: &mut B) -> Seen
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    read(body, usize::MAX)
}

/// Scripts that end: chunks of many sizes and pauses, then nothing, trailers or an error.
fn scripts() -> impl Strategy<Value = Vec<Step>> {
    let chunk = prop_oneof![
        2 => Just(Pending),
        1 => Just(Data("")),
        4 => prop::sample::select(vec![Data("a"), Data("bc"), Data("def"), Data("0123456789"), Data("the quick brown fox jumps over")]),
    ];
    let tail = prop_oneof![Just(None), Just(Some(Trailers)), Just(Some(Error))];
    (prop::collection::vec(chunk, 0..12), tail).prop_map(|(mut steps, tail)| {
        steps.extend(tail);
        steps
    })
}

/// What one gets of a script that is read to its end.
fn whole(steps: &[Step]) -> (String, bool, bool) {
    let data = steps.iter().filter_map(|step| if let Data(data) = step { Some(*data) } else { None }).collect();
    (data, steps.contains(&Trailers), steps.contains(&Error))
}

#[test]
fn every_tool_is_send_for_a_body_that_is_not_sync() {
    fn send<T: Send + Unpin>() {}
    send::<ReplayBody<Script>>();
    send::<ReplayBody>();
    send::<Drain<Script>>();
    send::<ReadUpTo<Script>>();
    send::<ReadBody<Script>>();
    send::<Held<Script>>();
    send::<ObserveEnd<Script, fn(End<'_, Broken>)>>();
    fn sync<T: Sync>() {}
    sync::<ReplayBody>();
    sync::<Held<Full<Bytes>>>();
}

#[test]
fn no_debug_shows_content() {
    const SECRET: &str = "sk-secret";
    let full = || Full::new(Bytes::from_static(SECRET.as_bytes()));
    let mut tee = ReplayBody::tee(Script::new([Data(SECRET)]), 100);
    read_all(&mut tee);
    let held: Held<Full<Bytes>> = Held::new([Frame::data(Bytes::from_static(SECRET.as_bytes()))].into(), full());
    let said = format!(
        "{tee:?} {:?} {:?} {held:?} {:?} {:?} {:?}",
        ReplayBody::<Full<Bytes>>::full(Bytes::from_static(SECRET.as_bytes())),
        ReplayBody::once(full()),
        Drain::new(full(), DrainLimits::new()),
        ReadUpTo::new(full(), 9, std::time::Duration::ZERO),
        ObserveEnd::new(full(), |_: End<'_, std::convert::Infallible>| {}),
    );
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_size_hint_survives_a_peer_that_announces_too_much() {
    assert_eq!(plus(SizeHint::with_exact(u64::MAX), 5).lower(), u64::MAX);
    assert_eq!(plus(SizeHint::with_exact(u64::MAX), 5).upper(), None);
    assert_eq!(plus(SizeHint::with_exact(3), 5).exact(), Some(8));
}
