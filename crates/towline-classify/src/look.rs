//! A first look at a success: may this be an error?

use std::slice;

/// Whether a JSON document, or its beginning, may be a failure in disguise and is worth parsing.
///
/// It looks for names and values that failures carry, between quotes as JSON has them. In a model's own text they stand
/// between escaped quotes and are not found. A name whose value is `null`, an empty string or an empty list is no sign.
pub(crate) fn is_suspicious(data: &[u8]) -> bool {
    let (Some((_, bytes)), Some((_, nexts))) = (data.split_last(), data.split_first()) else { return false };
    let ((rows, rest), (next_rows, _)) = (bytes.as_chunks(), nexts.as_chunks());
    let mut after = nexts;
    for (rows, next_rows) in rows.chunks(BITS).zip(next_rows.chunks(BITS)) {
        if holds_sign(after, rows, next_rows) {
            return true;
        }
        after = after.get(LANES * BITS..).unwrap_or_default();
    }
    // What is left over is looked at together with as much before it as makes a whole row.
    match (bytes.last_chunk(), nexts.last_chunk()) {
        _ if rest.is_empty() => false,
        (Some(row), Some(next)) => holds_sign(next, slice::from_ref(row), slice::from_ref(next)),
        _ => bytes.iter().enumerate().any(|(nth, byte)| *byte == b'"' && nexts.get(nth..).is_some_and(is_sign)),
    }
}

/// How many bytes are looked at together. The loops over them become vector instructions; over 16 the compiler unrolls them first, and they do not.
const LANES: usize = 64;

/// How many rows of them, as each leaves a bit in every lane.
const BITS: usize = 8;

/// Whether a sign stands after a quote in one of at most eight rows. `next_rows` are as many, each a byte further on, and `after` begins with them.
///
/// An answer has sixty quotes in a thousand bytes, too many for a search from one to the next. So first each lane finds, without a branch, in which
/// rows a quote is followed by a letter from `b` to `r`, among which are the first ones of all signs; some twenty quotes in a thousand bytes are.
fn holds_sign(after: &[u8], rows: &[[u8; LANES]], next_rows: &[[u8; LANES]]) -> bool {
    let mut found = [0_u8; LANES];
    for (row, next_row) in rows.iter().zip(next_rows) {
        for ((found, byte), next) in found.iter_mut().zip(row).zip(next_row) {
            let zero_where_found = (byte ^ b'"') | next.wrapping_sub(b'b').saturating_sub(b'r' - b'b');
            *found = (*found << 1) | u8::from(zero_where_found == 0);
        }
    }
    let (words, _) = found.as_chunks::<8>();
    words.iter().zip(0..).any(|(word, nth)| {
        let mut word = u64::from_le_bytes(*word);
        while word != 0 {
            let bit = word.trailing_zeros() as usize;
            // The last row left the lowest bit.
            let row = rows.len() - 1 - bit % BITS;
            if after.get(row * LANES + nth * 8 + bit / BITS..).is_some_and(is_sign) {
                return true;
            }
            word &= word - 1;
        }
        false
    })
}

/// Whether a first frame holds too little to tell anything: some servers send blanks while they work, others their first bytes alone.
pub(crate) fn is_too_little(data: &[u8]) -> bool {
    data.trim_ascii().len() < ENOUGH
}

/// Whether a whole document that is said to be JSON is none from end to end: it does not begin as one, or does not end as it began. What is
/// wrong in its midst is not looked for. One that is blank is another matter.
pub(crate) fn is_no_json(document: &[u8]) -> bool {
    let document = document.trim_ascii();
    let ends = |with: u8| document.len() > 1 && document.last() == Some(&with);
    match document.first() {
        Some(b'{') => !ends(b'}'),
        Some(b'[') => !ends(b']'),
        Some(b'"') => !ends(b'"'),
        Some(b't' | b'f' | b'n') => ![&b"true"[..], b"false", b"null"].contains(&document),
        Some(b'-' | b'0'..=b'9' | 0x80..) | None => false,
        Some(_) => true,
    }
}

/// As many bytes as the shortest sign needs with what stands before it: `[{"error":{`.
const ENOUGH: usize = 11;

/// Whether a piece of a stream is one of an LLM's answer, as far as its first words tell.
pub(crate) fn is_answer(data: &[u8]) -> bool {
    let signs: [&[u8]; 5] = [b"\"choices\"", b"\"message_start\"", b"\"response.created\"", b"\"candidates\"", b"messageStart"];
    (0..data.len()).filter_map(|at| data.get(at..)).any(|rest| signs.iter().any(|sign| rest.starts_with(sign)))
}

/// Whether what stands after a quote is a sign of failure.
fn is_sign(text: &[u8]) -> bool {
    let filled = |word: &[u8]| text.strip_prefix(word).is_some_and(is_filled);
    let starts = |word: &[u8]| text.starts_with(word);
    match text.first_chunk() {
        Some(b"erro") => filled(b"error\"") || filled(b"errors\""),
        Some(b"refu") => filled(b"refusal\""),
        Some(b"raiF") => starts(b"raiFilteredReason\""),
        Some(b"base") => starts(b"base_resp\""),
        Some(b"bloc") => starts(b"blockReason"),
        Some(b"cont") => starts(b"content_filter\"") || starts(b"content_filtered\""),
        Some(b"fail") => starts(b"failed\""),
        Some(b"fini") => text.strip_prefix(b"finishReason\"").is_some_and(is_odd_end),
        Some(b"guar") => starts(b"guardrail_intervened\""),
        Some(b"malf") => starts(b"malformed_"),
        _ => false,
    }
}

/// Whether a name has a value that tells something. What is a value itself, and no name, does.
fn is_filled(after: &[u8]) -> bool {
    value(after).is_none_or(|value| ![&b"null"[..], b"\"\"", b"[]", b"false"].iter().any(|nothing| value.starts_with(nothing)))
}

/// Whether Gemini's reason to stop is none of the two with which an answer is whole or merely long.
fn is_odd_end(after: &[u8]) -> bool {
    value(after).is_some_and(|value| !value.starts_with(b"\"STOP\"") && !value.starts_with(b"\"MAX_TOKENS\""))
}

/// The value that follows a name's closing quote.
fn value(after: &[u8]) -> Option<&[u8]> {
    Some(after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests;
