//! The body of an answer, whoever gave it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use towline_core::{StreamEnd, StreamHandle};

use super::{cache::Cache, canonical::Key};

pin_project! {
    /// The body of a response of [`Degrade`](crate::Degrade): the one from beneath, or a substitute, chunk by chunk.
    pub struct DegradeBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<R> {
        Live { #[pin] body: R, recorder: Option<Box<Recorder>> },
        Said { chunks: vec::IntoIter<Bytes>, left: u64 },
    }
}

/// Writes down what passes, for the cache.
pub(super) struct Recorder {
    pub(super) cache: Cache,
    pub(super) key: Key,
    pub(super) headers: HeaderMap,
    /// How the answer ends, where it is a stream and `ClassifyLayer` reads it.
    pub(super) handle: Option<StreamHandle>,
    pub(super) chunks: Vec<Bytes>,
    pub(super) left: usize,
}

impl<R> DegradeBody<R> {
    pub(super) const fn live(body: R, recorder: Option<Box<Recorder>>) -> Self {
        Self { kind: Kind::Live { body, recorder } }
    }

    pub(super) fn said(chunks: Vec<Bytes>) -> Self {
        let left = chunks.iter().fold(0_u64, |sum, chunk| sum.saturating_add(chunk.len() as u64));
        Self { kind: Kind::Said { chunks: chunks.into_iter(), left } }
    }
}

impl Recorder {
    /// Writes a frame down; `None` if it cannot be kept, or if the answer is too long.
    fn record(mut self: Box<Self>, frame: &Frame<Bytes>) -> Option<Box<Self>> {
        let data = frame.data_ref()?;
        self.left = self.left.checked_sub(data.len())?;
        self.chunks.push(data.clone());
        Some(self)
    }

    /// The answer is whole.
    fn keep(self) {
        if self.handle.as_ref().is_none_or(|handle| handle.end() == Some(StreamEnd::Complete)) {
            self.cache.put(self.key, &self.headers, self.chunks, Instant::now());
        }
    }
}

impl<R: Body<Data = Bytes>> Body for DegradeBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let (mut body, recorder) = match self.project().kind.project() {
            KindProj::Live { body, recorder } => (body, recorder),
            KindProj::Said { chunks, left } => {
                let chunk = chunks.next();
                *left = left.saturating_sub(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
                return Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))));
            }
        };
        let polled = ready!(body.as_mut().poll_frame(cx));
        if let Some(kept) = recorder.take() {
            match &polled {
                None => kept.keep(),
                Some(Ok(frame)) => match kept.record(frame) {
                    // hyper polls no body again that says that it has ended.
                    Some(kept) if body.is_end_stream() => kept.keep(),
                    kept => *recorder = kept,
                },
                Some(Err(_)) => {}
            }
        }
        Poll::Ready(polled)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Live { body, .. } => body.size_hint(),
            Kind::Said { left, .. } => SizeHint::with_exact(*left),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Live { body, .. } => body.is_end_stream(),
            Kind::Said { chunks, .. } => chunks.as_slice().is_empty(),
        }
    }
}

impl<R> fmt::Debug for DegradeBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Live { .. } => "DegradeBody(live)",
            Kind::Said { .. } => "DegradeBody(substitute)",
        })
    }
}
