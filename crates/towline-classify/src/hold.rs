//! Holding a stream until it bears content.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};
use towline_core::{Error, Failure, Outcome, body::Held};

use crate::{ClassifiedBody, body::Whole, layer::HoldLimits, look, watch::Watch};

/// A stream of which nothing has been handed on yet.
pub(crate) struct Hold<R: Body> {
    parts: Parts,
    body: Whole<R>,
    watch: Watch,
    limits: HoldLimits,
    frames: VecDeque<Frame<Bytes>>,
    bytes: u64,
    events: u64,
    /// Made when there is first something to wait for.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Why a stream is held no longer.
#[derive(Debug)]
pub(crate) enum Release {
    /// It flows on: content has come, or a limit was reached.
    Flow,
    /// It said that it failed.
    Failed(Failure),
    /// The body has ended; with a failure, if before its time.
    Ended(Option<Failure>),
    /// The body has failed.
    Broken(Error),
}

impl<R: Body> Hold<R> {
    pub(crate) fn new(parts: Parts, body: Whole<R>, watch: Watch, limits: HoldLimits) -> Self {
        Self { parts, body, watch, limits, frames: VecDeque::new(), bytes: 0, events: 0, patience: None }
    }

    fn is_full(&self) -> bool {
        self.events >= self.limits.events || self.bytes >= self.limits.bytes
    }
}

impl<R> Hold<R>
where
    R: Body<Data = Bytes> + Unpin,
    Whole<R>: Body<Data = Bytes, Error = Error> + Unpin,
{
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Release> {
        while !self.is_full() {
            if self.body.is_end_stream() {
                return Poll::Ready(self.end());
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return self.poll_patience(cx),
                Poll::Ready(None) => return Poll::Ready(self.end()),
                Poll::Ready(Some(Err(error))) => {
                    self.watch.fail(&error);
                    self.watch.flush(&mut self.frames);
                    return Poll::Ready(Release::Broken(error));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(release) = self.take(frame) {
                        return Poll::Ready(release);
                    }
                }
            }
        }
        Poll::Ready(Release::Flow)
    }

    /// What a frame makes of the stream, if anything.
    fn take(&mut self, frame: Frame<Bytes>) -> Option<Release> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => {
                let release = self.end();
                self.frames.push_back(trailers);
                return Some(release);
            }
        };
        self.bytes = self.bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX).max(1));
        let progress = self.watch.hold(data, &mut self.frames);
        self.events = self.events.saturating_add(progress.events);
        match progress.failure {
            // Even after content: none of it has been handed on yet.
            Some(failure) => Some(Release::Failed(failure)),
            None => (progress.content > 0 || progress.ends).then_some(Release::Flow),
        }
    }

    /// The body has ended while it was held. Where nothing came, or what came was the beginning of an answer, the answer was cut.
    fn end(&mut self) -> Release {
        self.watch.flush(&mut self.frames);
        if self.events == 0 || self.frames.iter().filter_map(Frame::data_ref).any(|data| look::is_answer(data)) {
            self.watch.expect_answer();
        }
        Release::Ended(self.watch.end())
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Release> {
        let time = self.limits.time;
        self.patience.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx).map(|()| Release::Flow)
    }

    /// The response, with all that was held.
    pub(crate) fn release(self, release: Release) -> Response<ClassifiedBody<R>> {
        let Self { mut parts, body, watch, frames, .. } = self;
        parts.extensions.insert(watch.handle().clone());
        let (failure, held) = match release {
            Release::Flow => (None, Held::new(frames, body)),
            Release::Failed(failure) => (Some(failure), Held::new(frames, body)),
            Release::Ended(failure) => (failure, Held::complete(frames)),
            Release::Broken(error) => (Some(error.failure().clone()), Held::failed(frames, error)),
        };
        if let Some(failure) = failure {
            parts.extensions.insert(Outcome::Failure(failure));
        }
        Response::from_parts(parts, ClassifiedBody::held(held).with(watch))
    }
}
