//! What the bytes of a body mean: the seam to `towline-wire`.

use std::ops::Range;

use bytes::Bytes;
use towline_core::{Failure, Usage};
use towline_wire::stream::{self as wire, Step, StreamReader};

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
    /// Where in the data there are events that are no JSON.
    pub(crate) broken: Vec<Range<usize>>,
    /// Where in the data an event begins whose end has not come.
    pub(crate) open: Option<usize>,
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

/// The longest JSON answer whose usage is read.
const LONGEST: usize = 1024 * 1024;

/// Reads a body as it passes.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it lies in a box already, and the small one is the rare one")]
pub(crate) enum Reader {
    /// A stream, event by event.
    Stream(StreamReader),
    /// A JSON answer, whose usage is read once it is whole.
    Json(Gathered),
}

/// The pieces of a body, shared with whoever reads it; none once it is too long.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Reader {
    pub(crate) fn read(&mut self, data: &Bytes) -> Progress {
        match self {
            Self::Stream(reader) => {
                reader.push(data.clone());
                drain(reader)
            }
            Self::Json(gathered) => {
                gathered.push(data);
                Progress::default()
            }
        }
    }

    /// The body has ended: what it left unterminated tells as well.
    pub(crate) fn finish(&mut self) -> Progress {
        match self {
            Self::Stream(reader) => {
                reader.finish();
                drain(reader)
            }
            Self::Json(gathered) => Progress { usage: gathered.usage(), ..Progress::default() },
        }
    }

    pub(crate) fn has_content(&self) -> bool {
        matches!(self, Self::Stream(reader) if reader.has_content())
    }

    pub(crate) fn stand(&self) -> Stand {
        match self {
            Self::Stream(reader) if reader.has_ended() => Stand::Whole,
            Self::Stream(reader) if reader.has_content() => Stand::Cut,
            Self::Stream(_) | Self::Json(_) => Stand::Silent,
        }
    }
}

impl Gathered {
    fn push(&mut self, data: &Bytes) {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes <= LONGEST {
            self.pieces.push(data.clone());
        } else {
            self.pieces = Vec::new();
        }
    }

    fn usage(&mut self) -> Option<Usage> {
        let pieces = std::mem::take(&mut self.pieces);
        match pieces.as_slice() {
            [] => None,
            [whole] => wire::Usage::of_answer(whole).map(told),
            pieces => wire::Usage::of_answer(&pieces.concat()).map(told),
        }
    }
}

fn drain(reader: &mut StreamReader) -> Progress {
    let mut progress = Progress::default();
    let mut last = 0;
    while let Some(event) = reader.next_step() {
        if let Some(end) = reader.position() {
            if event.step == Step::Malformed {
                progress.broken.push(last..end);
            }
            last = end;
        }
        progress.events += 1;
        progress.ends |= event.ends;
        if event.usage.is_some() {
            progress.usage = Some(told(reader.usage()));
        }
        match event.step {
            Step::Content(_) => progress.content += 1,
            Step::Terminal => progress.ended = true,
            Step::Error(failure) => progress.failure = progress.failure.or(Some(failure)),
            // What cannot be read is neither content nor an end; the next event may be sound.
            _ => {}
        }
    }
    progress.open = (!reader.is_between_events()).then_some(last);
    progress
}

fn told(wire: wire::Usage) -> Usage {
    let mut usage = Usage::default();
    usage.input_tokens = wire.input;
    usage.output_tokens = wire.output;
    usage.cache_read_tokens = wire.cached;
    usage.cache_creation_tokens = wire.cache_created;
    usage
}
