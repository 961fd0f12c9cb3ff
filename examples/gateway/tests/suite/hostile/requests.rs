//! Requests that no server should be sent, by chance from a seed.

use super::MAX_BODY;

/// Numbers that a seed decides (SplitMix64).
pub(super) struct Chance(u64);

/// What is sent, in which parts, and what is right.
pub(super) struct Hostile {
    pub(super) kind: &'static str,
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) then: Then,
    /// So many answers at most.
    pub(super) answers: usize,
    /// Whether it is understood so far that the answer must say what is wrong.
    pub(super) in_words: bool,
}

/// What the caller does when all is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Wait,
    Leave,
    /// Waits, and has waited between the parts.
    Slowly,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn bytes(&mut self, at_most: usize) -> Vec<u8> {
        (0..1 + self.below(at_most)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

const PATHS: [&str; 4] = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"];
/// It could be answered, were it not for what is wrong with how it is sent.
const GOOD: &str = r#"{"model":"chat","messages":[{"role":"user","content":"Hello?"}]}"#;

/// One of all kinds. One in a hundred is slow.
pub(super) fn hostile(chance: &mut Chance) -> Hostile {
    if chance.below(100) == 0 {
        return slow(chance);
    }
    match chance.below(7) {
        0 => no_request(chance),
        1 => bad_head(chance),
        2 => bad_framing(chance),
        3 => bad_body(chance),
        4 => oversized(chance),
        5 => truncated(chance),
        _ => pipelined(chance),
    }
}

fn all_at_once(kind: &'static str, bytes: impl Into<Vec<u8>>, then: Then) -> Hostile {
    Hostile { kind, parts: vec![bytes.into()], then, answers: 1, in_words: false }
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn no_request(chance: &mut Chance) -> Hostile {
    let line = match chance.below(6) {
        0 => chance.bytes(300),
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        3 => format!("POST {} HTTP/9.{}\r\nhost: x\r\n\r\n", PATHS[0], chance.below(10)).into(),
        4 => format!("{} /v1/messages HTTP/1.1\r\n\r\n", "G E T".repeat(1 + chance.below(5))).into(),
        _ => format!("POST /{}\0 HTTP/1.1\r\n\r\n", "a".repeat(chance.below(50))).into(),
    };
    all_at_once("no request", line, Then::Leave)
}

fn bad_head(chance: &mut Chance) -> Hostile {
    let header = match chance.below(6) {
        0 => "no colon here".to_owned(),
        1 => format!("bad name{}: x", chance.below(9)),
        2 => "x-nul: a\0b".to_owned(),
        // Well above the 64 KiB that are read ahead, of which one read may be twice as much.
        3 => format!("x-long: {}", "y".repeat(200_000 + chance.below(200_000))),
        4 => (0..200 + chance.below(800)).map(|n| format!("x-{n}: y\r\n")).collect::<String>() + "x: y",
        _ => ": nameless".to_owned(),
    };
    let path = chance.one_of(&PATHS);
    all_at_once(
        "bad head",
        format!("POST {path} HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-length: {}\r\n\r\n{GOOD}", GOOD.len()),
        Then::Wait,
    )
}

fn bad_framing(chance: &mut Chance) -> Hostile {
    let length = |length: &str| format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{GOOD}", PATHS[0]);
    let chunked = |chunks: &str| format!("POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunks}", PATHS[0]);
    let request = match chance.below(8) {
        0 => length("-1"),
        1 => length("+65, 66"),
        2 => length("99999999999999999999999999"),
        3 => length("0x41"),
        4 => length(&format!("{}\r\ncontent-length: {}", GOOD.len(), GOOD.len() + 1)),
        5 => chunked("zz\r\nhello\r\n0\r\n\r\n"),
        6 => chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        _ => chunked("5\r\nhelloXX0\r\n\r\n"),
    };
    all_at_once("bad framing", request, Then::Leave)
}

fn bad_body(chance: &mut Chance) -> Hostile {
    let body = match chance.below(9) {
        0 => String::from_utf8_lossy(&chance.bytes(400)).into_owned(),
        1 => GOOD[..1 + chance.below(GOOD.len() - 1)].to_owned(),
        2 => chance
            .one_of(&["", "null", "[]", "7", "true", "\"chat\"", "{}", "{\"messages\":[]}", "[{\"model\":\"chat\"}]"])
            .to_owned(),
        3 => format!("{{\"model\":{}}}", chance.one_of(&["null", "7", "[]", "{}", "true", "\"\"", "[\"chat\"]"])),
        4 => format!("{{\"model\":\"nobody-{}\",\"messages\":[]}}", chance.next()),
        5 => format!("{{\"model\":\"chat\",\"x\":{}}}", "[".repeat(200 + chance.below(20_000))),
        6 => {
            let deep = 200 + chance.below(10_000);
            format!("{{\"model\":\"chat\",\"x\":{}{}}}", "{\"y\":".repeat(deep / 5), "}".repeat(deep / 5 - 1))
        }
        7 => format!("{GOOD}{GOOD}"),
        _ => GOOD.replacen(':', chance.one_of(&["", "::", ",", ";", "=", "\u{feff}"]), 1),
    };
    let path = chance.one_of(&PATHS);
    Hostile { in_words: true, ..all_at_once("bad body", post(path, "", &body), Then::Wait) }
}

fn oversized(chance: &mut Chance) -> Hostile {
    let more = MAX_BODY + 1 + chance.below(MAX_BODY);
    let filled = format!("{{\"model\":\"chat\",\"messages\":\"{}\"}}", "x".repeat(more));
    let request = match chance.below(3) {
        // It says so, and sends it or does not.
        0 => post(PATHS[0], "", &filled),
        1 => format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{{",
            PATHS[0],
            chance.one_of(&[more, 1 << 30, 1 << 50])
        ),
        // It comes in pieces, and nobody knows how many.
        _ => {
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            format!(
                "POST {} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}",
                PATHS[0],
                chunk.repeat(more / 0x1000 + 1)
            )
        }
    };
    all_at_once("oversized", request, Then::Wait)
}

fn truncated(chance: &mut Chance) -> Hostile {
    let whole = post(chance.one_of(&PATHS), "", GOOD);
    let at = 1 + chance.below(whole.len() - 1);
    all_at_once("truncated", &whole.as_bytes()[..at], Then::Leave)
}

fn pipelined(chance: &mut Chance) -> Hostile {
    let answers = 2 + chance.below(6);
    let one = |chance: &mut Chance| match chance.below(3) {
        0 => format!("GET /nothing-{} HTTP/1.1\r\nhost: x\r\n\r\n", chance.below(99)),
        1 => post(PATHS[0], "", "{\"model\":\"nobody\"}"),
        _ => post(chance.one_of(&PATHS), "", "not json"),
    };
    let bytes = (0..answers).map(|_| one(chance)).collect::<String>();
    Hostile { answers, in_words: true, ..all_at_once("pipelined", bytes, Then::Wait) }
}

/// It stops in the middle, after some bytes that come one by one, and waits for whoever has more patience.
fn slow(chance: &mut Chance) -> Hostile {
    let whole = post(PATHS[0], "", GOOD);
    let begun = chance.below(whole.len() - 4);
    let mut parts = vec![whole.as_bytes()[..begun].to_vec()];
    parts.extend(whole.as_bytes()[begun..begun + 3].iter().map(|byte| vec![*byte]));
    Hostile { kind: "slow", parts, then: Then::Slowly, answers: 1, in_words: false }
}
