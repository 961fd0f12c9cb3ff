//! What the bytes of a body mean: the seam to `towline-wire`.

use bytes::Bytes;
use towline_core::{Failure, Usage};
use towline_wire::stream::{Step, StreamReader};

/// What a piece of a body has brought.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many events, of any kind.
    pub(crate) events: u64,
    /// How many events with content.
    pub(crate) content: u64,
    /// The first error among them.
    pub(crate) failure: Option<Failure>,
    /// The model has said that it is done, or the last event has come.
    pub(crate) ends: bool,
    /// The last event has come.
    pub(crate) ended: bool,
    /// What has been told of usage so far, if more was told here.
    pub(crate) usage: Option<Usage>,
}

/// How a body stands when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It has said that it is complete.
    Whole,
    /// There was content, and no end.
    Cut,
    /// There was neither: whether it is an answer at all is unknown.
    Silent,
}

/// Reads the events of a stream as they pass.
#[derive(Debug, Default)]
pub(crate) struct Reader(StreamReader);

impl Reader {
    pub(crate) fn read(&mut self, data: &Bytes) -> Progress {
        self.0.push(data.clone());
        self.drain()
    }

    /// The body has ended: what it left unterminated tells as well.
    pub(crate) fn finish(&mut self) -> Progress {
        self.0.finish();
        self.drain()
    }

    fn drain(&mut self) -> Progress {
        let mut progress = Progress::default();
        while let Some(event) = self.0.next_step() {
            progress.events += 1;
            progress.ends |= event.ends;
            if event.usage.is_some() {
                progress.usage = Some(usage(&self.0));
            }
            match event.step {
                Step::Content(_) => progress.content += 1,
                Step::Terminal => progress.ended = true,
                Step::Error(failure) => progress.failure = progress.failure.or(Some(failure)),
                // What cannot be read is neither content nor an end; the next event may be sound.
                _ => {}
            }
        }
        progress
    }

    pub(crate) fn has_content(&self) -> bool {
        self.0.has_content()
    }

    pub(crate) fn stand(&self) -> Stand {
        match (self.0.has_ended(), self.0.has_content()) {
            (true, _) => Stand::Whole,
            (false, true) => Stand::Cut,
            (false, false) => Stand::Silent,
        }
    }
}

fn usage(reader: &StreamReader) -> Usage {
    let told = reader.usage();
    let mut usage = Usage::default();
    usage.input_tokens = told.input;
    usage.output_tokens = told.output;
    usage.cache_read_tokens = told.cached;
    usage
}
