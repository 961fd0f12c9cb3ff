//! A quick pass over JSON that is written as nearly all bodies are.
//!
//! It gives up where anything is unusual, be it wrong or not: whoever asked then asks `serde_json`, which alone decides what is an error. What this
//! pass reads to the end `serde_json` reads too, and alike.

use std::{borrow::Cow, ops::Range};

use crate::lenient::{Small, limit};

/// How deep it goes, which is less deep than `serde_json` does.
const DEEP: u8 = 64;

/// So many digits make no number that is too large.
const DIGITS: usize = 18;

/// A document that is being read. Each method that reads is `None` where anything is unusual.
pub(crate) struct Scan<'a> {
    /// UTF-8 without control characters, line breaks among them.
    text: &'a [u8],
    at: usize,
    /// How many levels it may still go down.
    deep: u8,
}

/// A string that was passed over.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    /// What stands between the quotes. None of its escapes is one of a letter, a digit or a colon.
    pub(crate) raw: &'a [u8],
    /// How many bytes it has once its escapes are undone.
    pub(crate) length: usize,
}

impl<'a> Scan<'a> {
    /// Reads a document that is one object in whole. `member` is given the name of each member, and reads its value.
    pub(crate) fn object(text: &'a [u8], member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        // Told in one go and without a branch, so that no string needs to be looked through for it.
        let (lowest, highest) = text.iter().fold((u8::MAX, 0), |(low, high), byte| (low.min(*byte), high.max(*byte)));
        if lowest < b' ' || (highest >= 0x80 && str::from_utf8(text).is_err()) {
            return None;
        }
        let mut scan = Self { text, at: 0, deep: DEEP };
        scan.expect(b'{')?;
        scan.members(member)?;
        scan.peek().is_none().then_some(())
    }

    /// Passes over a value. `tell` is given each text in it, with the name of the innermost member that it stands under.
    pub(crate) fn value(&mut self, name: &'a [u8], tell: &mut impl FnMut(&'a [u8], Text<'a>)) -> Option<()> {
        match self.next()? {
            b'"' => tell(name, self.string()?),
            b'{' => self.members(|scan, name| scan.value(name, tell))?,
            b'[' => self.elements(|scan| scan.value(name, tell))?,
            first => drop(self.scalar(first)?),
        }
        Some(())
    }

    /// Passes over a value, and tells where it stands.
    pub(crate) fn place(&mut self) -> Option<Range<usize>> {
        self.peek()?;
        let start = self.at;
        self.pass()?;
        Some(start..self.at)
    }

    /// Passes over a value.
    pub(crate) fn pass(&mut self) -> Option<()> {
        self.value(b"", &mut |_, _| ())
    }

    /// Reads a value of which little is asked.
    pub(crate) fn small(&mut self) -> Option<Small<'a>> {
        match self.next()? {
            b'"' => Some(Small::Text(Cow::Borrowed(str::from_utf8(self.name()?).ok()?))),
            b'{' => {
                let (mut output, mut answers) = (None, None);
                self.members(|scan, name| {
                    let Some(told) = limit(name, &mut output, &mut answers) else { return scan.pass() };
                    if let Small::Number(n) = scan.small()? {
                        *told = (*told).max(Some(n));
                    }
                    Some(())
                })?;
                Some(Small::Config { output, answers })
            }
            b'[' => {
                self.elements(Self::pass)?;
                Some(Small::Other)
            }
            first => self.scalar(first),
        }
    }

    /// What stands behind an object's opening brace, up to the closing one.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.elements_until(b'}', |scan| {
            scan.expect(b'"')?;
            let name = scan.name()?;
            scan.expect(b':')?;
            member(scan, name)
        })
    }

    /// What stands behind a list's opening bracket, up to the closing one.
    fn elements(&mut self, element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.elements_until(b']', element)
    }

    fn elements_until(&mut self, end: u8, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek()? == end {
            self.at += 1;
            return Some(());
        }
        self.deep = self.deep.checked_sub(1)?;
        loop {
            element(self)?;
            match self.next()? {
                b',' => {}
                byte if byte == end => break,
                _ => return None,
            }
        }
        self.deep += 1;
        Some(())
    }

    /// The rest of a string without escapes, behind its opening quote.
    fn name(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let end = special(self.text, start);
        self.at = end + 1;
        if *self.text.get(end)? == b'"' { self.text.get(start..end) } else { None }
    }

    /// The rest of a string, behind its opening quote.
    fn string(&mut self) -> Option<Text<'a>> {
        let (start, mut length) = (self.at, 0);
        loop {
            let end = special(self.text, self.at);
            length += end - self.at;
            self.at = end;
            match self.byte()? {
                b'"' => break,
                b'\\' => length += self.escape()?,
                _ => return None,
            }
        }
        let raw = self.text.get(start..self.at)?;
        self.at += 1;
        Some(Text { raw, length })
    }

    /// Passes over an escape; how many bytes it stands for.
    fn escape(&mut self) -> Option<usize> {
        let escape = self.rest();
        let (long, bytes) = match escape.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => (2, 1),
            b'u' => match unit(escape)? {
                // Nobody escapes these, and whoever looks how a text begins need not undo an escape.
                0x30..=0x3a | 0x41..=0x5a | 0x61..=0x7a => return None,
                0..0x80 => (6, 1),
                0x80..0x800 => (6, 2),
                0xd800..0xdc00 if (0xdc00..0xe000).contains(&unit(escape.get(6..)?)?) => (12, 4),
                0xd800..0xe000 => return None,
                _ => (6, 3),
            },
            _ => return None,
        };
        self.at += long;
        Some(bytes)
    }

    /// The rest of what is neither a string nor has anything in it, from its first byte on, which was read.
    fn scalar(&mut self, first: u8) -> Option<Small<'a>> {
        let (rest, small) = match first {
            b't' => ("rue", Small::Flag(true)),
            b'f' => ("alse", Small::Flag(false)),
            b'n' => ("ull", Small::Other),
            _ => return self.number(first),
        };
        self.at += self.rest().starts_with(rest.as_bytes()).then_some(rest.len())?;
        Some(small)
    }

    /// A number without an exponent, which would stand where a comma is looked for next.
    fn number(&mut self, first: u8) -> Option<Small<'a>> {
        if first != b'-' {
            self.at -= 1;
        }
        let (is_zero, start) = (self.byte()? == b'0', self.at);
        let whole = self.digits()?;
        if is_zero && self.at - start > 1 {
            return None;
        }
        let is_fraction = self.byte()? == b'.';
        if is_fraction {
            self.at += 1;
            self.digits()?;
        }
        Some(if is_fraction || first == b'-' { Small::Other } else { Small::Number(whole) })
    }

    fn digits(&mut self) -> Option<u64> {
        let (start, mut number) = (self.at, 0);
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            if self.at - start == DIGITS {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// The next byte that is no blank, which is read.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// Where the first quote or backslash stands, from `start` on, or the end.
#[inline]
fn special(text: &[u8], start: usize) -> usize {
    // Nearly all names end within sixteen bytes, too soon for a search to be worth its preparation.
    let words = text.get(start..).and_then(<[u8]>::first_chunk::<16>).map(|first| first.as_chunks::<8>().0).unwrap_or_default();
    for (word, before) in words.iter().zip([0, 8]) {
        let special = special_in(u64::from_le_bytes(*word));
        if special != 0 {
            return start + before + special.trailing_zeros() as usize / 8;
        }
    }
    special_far(text, start + words.len() * 8)
}

/// Not inlined, so that reading a name saves no registers for a call that it does not make.
#[inline(never)]
fn special_far(text: &[u8], start: usize) -> usize {
    let found = text.get(start..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest));
    found.map_or(text.len(), |at| start + at)
}

/// The highest bit of the first byte that is a quote or a backslash, and of none before it.
const fn special_in(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
}

/// The UTF-16 unit of an escape.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
pub(crate) mod tests;
