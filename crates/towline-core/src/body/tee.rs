//! Recording a body while it is sent, so that it may be sent again.
//!
//! All handles share one record. The source, the body that is recorded, is owned by the one handle that reads it and lies in the
//! record while no handle does. Only its owner adds to the record, so a handle's place in it is a plain position, and what a
//! handle has recorded itself can never be replayed to it.

use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::{len, plus};
use crate::BoxError;

/// A copy of a teed [`ReplayBody`](super::ReplayBody) was read while another one was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayInUse(());

/// A copy of a teed [`ReplayBody`](super::ReplayBody) was read after its recording was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLost {
    why: Loss,
}

/// One handle on a recorded body.
pub(super) struct Tee<B> {
    record: Arc<Mutex<Record<B>>>,
    reading: Reading,
    /// The source, while this handle is the one that reads it.
    source: Option<B>,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Fresh,
    /// The next frame of the record to be replayed; after the last one, the source.
    At(usize),
    Ended,
}

struct Record<B> {
    state: State<B>,
    frames: Vec<Recorded>,
    /// Data in `frames`.
    bytes: u64,
    cap: u64,
    /// What the source said about its size before it was read.
    hint: SizeHint,
}

enum State<B> {
    /// The source is not at its end. It is parked here while no handle reads it.
    Recording(Option<B>),
    /// The record is whole and needs no source.
    Complete,
    Lost(Loss),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    TooLong,
    Failed,
}

enum Recorded {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl<B: Body> Tee<B> {
    pub(super) fn new(source: B, cap: u64) -> Self {
        let hint = source.size_hint();
        let state = if source.is_end_stream() { State::Complete } else { State::Recording(Some(source)) };
        let record = Record { state, frames: Vec::new(), bytes: 0, cap, hint };
        Self { record: Arc::new(Mutex::new(record)), reading: Reading::Fresh, source: None }
    }
}

impl<B> Tee<B> {
    pub(super) fn try_clone(&self) -> Option<Self> {
        let lost = matches!(self.record.lock().state, State::Lost(_));
        (!lost).then(|| Self { record: self.record.clone(), reading: Reading::Fresh, source: None })
    }

    /// Makes this handle the one that reads, if no other one is.
    fn claim(&mut self) -> Result<(), BoxError> {
        match &mut self.record.lock().state {
            State::Complete => {}
            State::Recording(parked) => self.source = Some(parked.take().ok_or(ReplayInUse(()))?),
            State::Lost(why) => return Err(ReplayLost { why: *why }.into()),
        }
        Ok(())
    }

    /// Drops the source, since there is nothing more to be had from it, and says in the record how that came.
    fn finish(&mut self, loss: Option<Loss>) {
        // Not under the lock: a stranger's `drop` may do anything.
        self.source = None;
        let mut record = self.record.lock();
        if let State::Recording(_) = record.state {
            match loss {
                None => record.state = State::Complete,
                Some(why) => record.lose(why),
            }
        }
    }
}

impl<B> Tee<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let at = match self.reading {
            Reading::Fresh => match self.claim() {
                Ok(()) => 0,
                Err(error) => {
                    self.reading = Reading::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
            },
            Reading::At(at) => at,
            Reading::Ended => return Poll::Ready(None),
        };
        self.reading = Reading::At(at);
        if let Some(frame) = self.record.lock().frames.get(at) {
            self.reading = Reading::At(at.saturating_add(1));
            return Poll::Ready(Some(Ok(frame.to_frame())));
        }
        let Some(source) = &mut self.source else {
            self.reading = Reading::Ended;
            return Poll::Ready(None);
        };
        let polled = ready!(Pin::new(&mut *source).poll_frame(cx));
        match &polled {
            None => {
                self.finish(None);
                self.reading = Reading::Ended;
            }
            Some(Err(_)) => {
                self.finish(Some(Loss::Failed));
                self.reading = Reading::Ended;
            }
            Some(Ok(frame)) => {
                let last = frame.is_trailers() || source.is_end_stream();
                self.reading = Reading::At(self.record.lock().push(frame));
                if last {
                    self.finish(None);
                }
            }
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Into::into)))
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let source = self.source.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let record = self.record.lock();
        match self.reading {
            Reading::Fresh => match record.state {
                State::Complete => SizeHint::with_exact(record.bytes),
                State::Recording(_) | State::Lost(_) => record.hint,
            },
            Reading::At(at) => plus(source, record.bytes_from(at)),
            Reading::Ended => SizeHint::with_exact(0),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let record = self.record.lock();
        match self.reading {
            Reading::Fresh => matches!(record.state, State::Complete) && record.frames.is_empty(),
            Reading::At(at) => self.source.is_none() && at >= record.frames.len(),
            Reading::Ended => true,
        }
    }
}

/// Parks the source, so that the next handle goes on where this one stopped.
impl<B> Drop for Tee<B> {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else { return };
        if let State::Recording(parked) = &mut self.record.lock().state {
            *parked = Some(source);
        }
    }
}

impl<B> fmt::Debug for Tee<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record.lock();
        let state = match record.state {
            State::Recording(_) => "recording",
            State::Complete => "complete",
            State::Lost(_) => "lost",
        };
        f.debug_struct("ReplayBody::Tee")
            .field("state", &state)
            .field("recorded", &record.bytes)
            .field("cap", &record.cap)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

impl<B> Record<B> {
    /// Records a frame that the source has just given. Returns where its reader stands now: at the end.
    fn push(&mut self, frame: &Frame<Bytes>) -> usize {
        if let State::Recording(_) = self.state {
            if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                self.bytes = self.bytes.saturating_add(len(data));
                self.frames.push(Recorded::Data(data.clone()));
            } else if let Some(trailers) = frame.trailers_ref() {
                self.frames.push(Recorded::Trailers(trailers.clone()));
            }
            if self.bytes > self.cap {
                self.lose(Loss::TooLong);
            }
        }
        self.frames.len()
    }

    fn lose(&mut self, why: Loss) {
        self.state = State::Lost(why);
        self.bytes = 0;
        drop(mem::take(&mut self.frames));
    }

    fn bytes_from(&self, at: usize) -> u64 {
        let data = self.frames.iter().skip(at).filter_map(|frame| match frame {
            Recorded::Data(data) => Some(len(data)),
            Recorded::Trailers(_) => None,
        });
        data.fold(0, u64::saturating_add)
    }
}

impl Recorded {
    fn to_frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}

impl fmt::Display for ReplayInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request body is still being sent by another attempt")
    }
}

impl Error for ReplayInUse {}

impl fmt::Display for ReplayLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Loss::TooLong => "the request body cannot be sent again: it is longer than what is recorded of it",
            Loss::Failed => "the request body cannot be sent again: it failed when it was read before",
        })
    }
}

impl Error for ReplayLost {}
