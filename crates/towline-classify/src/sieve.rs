//! Leaving out of a stream what nobody could read.

use std::{collections::VecDeque, mem, ops::Range};

use bytes::Bytes;

/// The longest beginning of an event that is kept back until its end tells what it is.
const LONGEST: usize = 16 * 1024;
/// And the most pieces of one: each keeps the buffer alive that it came in.
const PIECES: usize = 1024;

/// Holds the beginning of an event back until its end has come, since half of it cannot be taken back; then hands it on, or forgets it.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    /// To be handed on.
    ready: VecDeque<Bytes>,
    /// Pieces of an event that has not ended.
    begun: VecDeque<Bytes>,
    bytes: usize,
    /// The event that has not ended is too long: it is handed on as it comes, and can no longer be left out.
    loose: bool,
}

impl Sieve {
    /// Whether nothing is kept, and what comes may be handed on as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.begun.is_empty() && !self.loose
    }

    /// Takes a frame's data, of which `broken` is to be left out; an event that has not ended begins at `open`.
    pub(crate) fn take(&mut self, data: &Bytes, broken: &[Range<usize>], open: Option<usize>) {
        let end = open.unwrap_or(data.len());
        if open != Some(0) {
            self.close(data, broken, end);
        }
        if end < data.len() {
            self.open(data.slice(end..));
        }
    }

    /// What has ended within a frame goes on, without what is broken.
    fn close(&mut self, data: &Bytes, broken: &[Range<usize>], end: usize) {
        let mut at = 0;
        let loose = mem::take(&mut self.loose);
        for range in broken {
            // Half of it has been handed on: without its end the next event would be taken for its rest.
            if range.start == 0 && loose {
                continue;
            }
            if range.start == 0 {
                self.begun.clear();
            }
            self.release();
            self.hand_on(data, at..range.start);
            at = range.end;
        }
        self.release();
        self.hand_on(data, at..end);
    }

    fn open(&mut self, piece: Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        self.begun.push_back(piece);
        self.loose |= self.bytes > LONGEST || self.begun.len() > PIECES;
        if self.loose {
            self.release();
        }
    }

    /// Hands on what is held back.
    pub(crate) fn release(&mut self) {
        self.ready.append(&mut self.begun);
        self.bytes = 0;
    }

    fn hand_on(&mut self, data: &Bytes, range: Range<usize>) {
        if !range.is_empty() && range.end <= data.len() {
            self.ready.push_back(data.slice(range));
        }
    }

    pub(crate) fn next(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is meant")]
mod tests {
    use super::*;

    fn taken(sieve: &mut Sieve, data: &'static str, broken: &[Range<usize>], open: Option<usize>) -> String {
        sieve.take(&Bytes::from_static(data.as_bytes()), broken, open);
        std::iter::from_fn(|| sieve.next()).map(|piece| String::from_utf8_lossy(&piece).into_owned()).collect()
    }

    #[test]
    fn what_is_broken_is_left_out_and_nothing_else() {
        let mut sieve = Sieve::default();
        assert_eq!(taken(&mut sieve, "abcdef", &[1..2, 3..5], None), "acf");
        assert_eq!(taken(&mut sieve, "abc", &[0..3], None), "");
        assert!(sieve.is_empty());
    }

    #[test]
    fn the_beginning_of_an_event_waits_for_its_end() {
        let mut sieve = Sieve::default();
        assert_eq!(taken(&mut sieve, "abc", &[], Some(2)), "ab");
        assert_eq!(taken(&mut sieve, "d", &[], Some(0)), "");
        assert_eq!(taken(&mut sieve, "ef", &[], Some(1)), "cde", "it is sound, and another begins");
        assert_eq!(taken(&mut sieve, "gh", &[0..1], None), "h", "that one is not");
        assert!(sieve.is_empty());
    }

    #[test]
    fn what_grows_too_long_is_handed_on_and_no_longer_left_out() {
        let long: &'static str = "x".repeat(LONGEST + 1).leak();
        let mut sieve = Sieve::default();
        assert_eq!(taken(&mut sieve, "a", &[], Some(0)), "");
        assert_eq!(taken(&mut sieve, long, &[], Some(0)), format!("a{long}"));
        assert_eq!(taken(&mut sieve, "b", &[], Some(0)), "b");
        assert_eq!(taken(&mut sieve, "cde", &[0..1, 1..2], None), "ce", "the next one can be left out again");
        for _ in 0..=PIECES {
            assert!(sieve.is_empty() || !sieve.loose);
            taken(&mut sieve, "p", &[], Some(0));
        }
        assert!(sieve.loose);
    }
}
