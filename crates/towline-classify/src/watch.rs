//! Reading along with a body, and telling its handle.

use std::mem;

use bytes::Bytes;
use tokio::time::Instant;
use towline_core::{Error, Event, Failure, FailureKind, Observer, StreamEnd, StreamHandle, Target};
use towline_wire::stream::StreamReader;

use crate::reader::{Gathered, Progress, Reader, Stand};

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
    /// The error with which the body ends, until it is handed on.
    tail: Option<Error>,
}

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
}

impl Watch {
    /// A watch over a stream.
    pub(crate) fn stream(settings: Settings) -> Self {
        Self::new(Reader::Stream(StreamReader::new()), settings)
    }

    /// A watch over a JSON answer, for its usage only.
    pub(crate) fn json() -> Self {
        let settings = Settings { fail_cut: false, reject_empty: false, usage: true, is_answer: false };
        Self::new(Reader::Json(Gathered::default()), settings)
    }

    fn new(reader: Reader, settings: Settings) -> Self {
        let handle = StreamHandle::new(Instant::now());
        let observer = Observer::none();
        Self { reader, handle, settings, observer, target: None, held: 0, ended: false, tail: None }
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

    /// Reads a frame that is held; it will come once more, to be handed on.
    pub(crate) fn hold(&mut self, data: &Bytes) -> Progress {
        self.held += 1;
        let progress = self.reader.read(data);
        self.note(progress)
    }

    /// Reads a frame that is handed on.
    pub(crate) fn pass(&mut self, data: &Bytes) {
        if let Some(left) = self.held.checked_sub(1) {
            self.held = left;
        } else {
            let progress = self.reader.read(data);
            self.note(progress);
        }
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
        self.settle(StreamEnd::Failed(error.failure().clone()));
    }

    /// The error with which the body of a cut stream ends, once.
    pub(crate) fn take_tail(&mut self) -> Option<Error> {
        self.tail.take()
    }

    /// Whether an end of the body here would be one, so that no error of ours is to come.
    pub(crate) fn may_end(&self) -> bool {
        if self.ended { self.tail.is_none() } else { !self.settings.fail_cut || self.reader.stand() == Stand::Whole }
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
