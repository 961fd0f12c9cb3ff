//! Reading along with a body, and telling its handle.

use std::{collections::VecDeque, mem, task::Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Instant;
use towline_core::{Error, Event, Failure, FailureKind, Observer, StreamEnd, StreamHandle, Target};
use towline_wire::stream::StreamReader;

use crate::{
    reader::{Gathered, Progress, Reader, Stand},
    sieve::Sieve,
};

/// Reads along with one body and writes into its handle what it learns.
#[derive(Debug)]
pub(crate) struct Watch {
    reader: Reader,
    handle: StreamHandle,
    settings: Settings,
    /// Who is told of the end.
    observer: Observer,
    target: Option<Target>,
    /// How many of the data frames to come were read while they were held.
    held: usize,
    ended: bool,
    sieve: Sieve,
    /// What comes after that which is still held back: trailers, an error, the end.
    last: Poll<Polled>,
    /// The error with which the body ends, until it is handed on.
    tail: Option<Error>,
}

/// What a body answers when it is polled.
type Polled = Option<Result<Frame<Bytes>, Error>>;

/// What is asked of a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// An end that is none is an error for the reader of the body.
    pub(crate) fail_cut: bool,
    /// An answer without content is a failure.
    pub(crate) reject_empty: bool,
    /// What the stream tells of tokens is wanted.
    pub(crate) usage: bool,
    /// This is known to be an LLM's answer: with neither content nor an end it was cut.
    pub(crate) is_answer: bool,
    /// Events that are no JSON are left out.
    pub(crate) sift: bool,
}

impl Watch {
    /// A watch over a stream.
    pub(crate) fn stream(settings: Settings) -> Self {
        Self::new(Reader::Stream(StreamReader::new()), settings)
    }

    /// A watch over a JSON answer, for its usage only.
    pub(crate) fn json() -> Self {
        let settings = Settings { fail_cut: false, reject_empty: false, usage: true, is_answer: false, sift: false };
        Self::new(Reader::Json(Gathered::default()), settings)
    }

    fn new(reader: Reader, settings: Settings) -> Self {
        let handle = StreamHandle::new(Instant::now());
        let observer = Observer::none();
        Self {
            reader,
            handle,
            settings,
            observer,
            target: None,
            held: 0,
            ended: false,
            sieve: Sieve::default(),
            last: Poll::Pending,
            tail: None,
        }
    }

    /// The same watch, telling `observer` of the end.
    pub(crate) fn telling(mut self, observer: Observer, target: Option<Target>) -> Self {
        (self.observer, self.target) = (observer, target);
        self
    }

    pub(crate) const fn handle(&self) -> &StreamHandle {
        &self.handle
    }

    /// Says that this is known to be an LLM's answer.
    pub(crate) fn expect_answer(&mut self) {
        self.settings.is_answer = true;
    }

    /// Reads a frame that is held, and adds what is to be handed on of it to `frames`; that will come once more.
    pub(crate) fn hold(&mut self, data: Bytes, frames: &mut VecDeque<Frame<Bytes>>) -> Progress {
        let (data, progress) = self.read(data);
        frames.extend(data.map(Frame::data));
        self.drain(frames);
        progress
    }

    /// Adds to `frames` what was held back of them, since nothing more will come.
    pub(crate) fn flush(&mut self, frames: &mut VecDeque<Frame<Bytes>>) {
        self.sieve.release();
        self.drain(frames);
    }

    fn drain(&mut self, frames: &mut VecDeque<Frame<Bytes>>) {
        frames.extend(std::iter::from_fn(|| self.sieve.next()).map(Frame::data));
        self.held = frames.len();
    }

    /// Reads a frame on its way. Where it is not to be handed on as it is, [`next`](Self::next) has what is.
    pub(crate) fn pass(&mut self, data: Bytes) -> Option<Bytes> {
        if let Some(left) = self.held.checked_sub(1) {
            self.held = left;
            return Some(data);
        }
        self.read(data).0
    }

    fn read(&mut self, data: Bytes) -> (Option<Bytes>, Progress) {
        let progress = self.reader.read(&data);
        let mut progress = self.note(progress);
        if !self.settings.sift {
            return (Some(data), progress);
        }
        // What is no JSON is only broken where JSON is spoken.
        if !self.settings.is_answer && !self.reader.has_content() {
            progress.broken.clear();
        }
        self.handle.record_broken(progress.broken.len());
        if self.sieve.is_empty() && progress.broken.is_empty() && progress.open.is_none() {
            return (Some(data), progress);
        }
        self.sieve.take(&data, &progress.broken, progress.open);
        (None, progress)
    }

    /// What is to be handed on before the body is asked again.
    pub(crate) fn next(&mut self) -> Poll<Polled> {
        if let Some(data) = self.sieve.next() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        mem::replace(&mut self.last, Poll::Pending).map(|last| last.or_else(|| self.tail.take().map(Err)))
    }

    /// Hands this on after what was held back; at the end of a cut stream an error of ours.
    pub(crate) fn finally(&mut self, last: Polled) {
        self.last = Poll::Ready(last);
    }

    fn note(&mut self, mut progress: Progress) -> Progress {
        if progress.content > 0 {
            self.handle.record_content(Instant::now(), progress.content);
        }
        if let Some(usage) = progress.usage.filter(|_| self.settings.usage) {
            self.handle.record_usage(usage);
        }
        if progress.ends && self.settings.reject_empty && !self.reader.has_content() {
            progress.failure.get_or_insert(Failure::new(FailureKind::Malformed));
        }
        if let Some(failure) = &progress.failure {
            self.settle(StreamEnd::Failed(failure.clone()));
        } else if progress.ended {
            self.settle(StreamEnd::Complete);
        }
        progress
    }

    /// The body has ended as HTTP has it. Answers with the failure that shows only now.
    pub(crate) fn end(&mut self) -> Option<Failure> {
        if mem::replace(&mut self.ended, true) {
            return None;
        }
        self.sieve.release();
        let progress = self.reader.finish();
        let failure = self.note(progress).failure.or_else(|| {
            let cut = self.handle.end().is_none() && self.may_be_cut();
            self.settle(if cut { StreamEnd::Cut } else { StreamEnd::Complete });
            cut.then(|| Failure::new(FailureKind::StreamBroken))
        });
        self.tail = failure.clone().filter(|_| self.settings.fail_cut).map(Error::new);
        failure
    }

    /// The body has failed.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.ended = true;
        self.sieve.release();
        self.settle(StreamEnd::Failed(error.failure().clone()));
    }

    /// Whether an end of the body here would be one, so that no error of ours is to come.
    pub(crate) fn may_end(&self) -> bool {
        if !self.sieve.is_empty() || self.last.is_ready() {
            return false;
        }
        if self.ended { self.tail.is_none() } else { !self.settings.fail_cut || self.reader.stand() == Stand::Whole }
    }

    /// Whether what comes may be less than what the body beneath has.
    pub(crate) const fn sifts(&self) -> bool {
        self.settings.sift
    }

    fn settle(&self, end: StreamEnd) {
        let told = self.observer.is_listening().then(|| end.clone());
        if self.handle.settle(end)
            && let Some(end) = &told
        {
            self.observer.tell(&Event::StreamEnded { target: self.target.as_ref(), end });
        }
    }

    fn may_be_cut(&self) -> bool {
        match self.reader.stand() {
            Stand::Whole => false,
            Stand::Cut => true,
            Stand::Silent => self.settings.is_answer,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Who has all that the model had to say may leave before the last event.
        let done = self.reader.stand() == Stand::Whole;
        self.settle(if done { StreamEnd::Complete } else { StreamEnd::Dropped });
    }
}
