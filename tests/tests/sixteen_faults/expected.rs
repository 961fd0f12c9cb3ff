//! The right outcome of each fault, from both sides.

use std::time::Duration;

use bytes::Bytes;
use towline::{FailureKind as K, Phase, StreamEnd};
use towline_testkit::Fault;

use towline_tests::Got;

use crate::bench::STEP;

/// What is right for one fault.
#[derive(Clone, Copy)]
pub struct Expected {
    /// Who answers, and the model that it says it is.
    pub who: &'static str,
    pub model: &'static str,
    answer: Answer,
    trail: &'static str,
    /// How often the primary and the second were asked.
    pub asked: [usize; 2],
    /// The pauses between attempts at the primary, from and to so many milliseconds.
    pub gaps: [u64; 2],
    /// How long the caller waited for the head, in milliseconds, and for the rest.
    head: [u64; 2],
    rest: u64,
    /// Whether we dropped the connection to the primary.
    pub dropped: bool,
}

/// What the caller reads.
#[derive(Clone, Copy)]
enum Answer {
    /// The whole of it.
    Whole,
    /// All but the event that ends it.
    Unterminated,
    /// Its first pieces, or as large a part of its bytes, and then an error.
    Begun(usize, K),
    /// The provider's own words.
    Refused(K),
}

pub fn expected(fault: Fault, stream: bool) -> Expected {
    // What a first attempt that is answered looks like.
    let whole = Expected {
        who: "primary",
        model: Fault::PRIMARY,
        answer: Answer::Whole,
        trail: "primary ok",
        asked: [1, 0],
        gaps: [0, 0],
        head: [0, 0],
        rest: 0,
        dropped: false,
    };
    let second = Expected { who: "second", model: Fault::FALLBACK, asked: [1, 1], ..whole };
    match fault {
        // No earlier than it said, and not much later.
        Fault::LimitedOnce => {
            Expected { trail: "primary rate_limit, primary ok", asked: [2, 0], gaps: [2000, 2450], head: [2000, 2450], ..whole }
        }
        Fault::Limited => Expected {
            trail: "primary rate_limit, primary rate_limit, second ok",
            asked: [2, 1],
            gaps: [0, 1000],
            head: [0, 1000],
            ..second
        },
        Fault::ErrorOnce => {
            Expected { trail: "primary server_error, primary ok", asked: [2, 0], gaps: [0, 500], head: [0, 500], ..whole }
        }
        Fault::Down | Fault::Substitute => Expected {
            trail: "primary overloaded, primary overloaded, primary overloaded, second ok",
            asked: [3, 1],
            gaps: [0, 2000],
            head: [0, 3000],
            ..second
        },
        Fault::ResetOnce => {
            Expected { trail: "primary transport, primary ok", asked: [2, 0], gaps: [0, 500], head: [0, 500], ..whole }
        }
        // Of a whole answer the first byte is its first content.
        Fault::Silent | Fault::LateFirstToken => {
            Expected { trail: "primary timeout, second ok", head: [10_000, 10_000], dropped: true, ..second }
        }
        Fault::StreamCut | Fault::PrefillRefused => Expected { answer: Answer::Begun(40, K::StreamBroken), ..whole },
        Fault::StreamStall => {
            Expected { answer: Answer::Begun(20, K::Timeout(Phase::Idle)), rest: 10_000, dropped: true, ..whole }
        }
        Fault::BrokenEvent if stream => whole,
        Fault::BrokenEvent => Expected {
            trail: "primary malformed, primary malformed, primary malformed, second ok",
            asked: [3, 1],
            gaps: [0, 1000],
            head: [0, 1500],
            ..second
        },
        Fault::NoTerminator if stream => Expected { answer: Answer::Unterminated, ..whole },
        Fault::NoTerminator => whole,
        Fault::ContextLength => Expected { answer: Answer::Refused(K::ContextLength), trail: "primary context_length", ..whole },
        Fault::ContentPolicy => Expected { answer: Answer::Refused(K::ContentPolicy), trail: "primary content_policy", ..whole },
        Fault::Outage => unreachable!("it has a test of its own"),
    }
}

impl Expected {
    /// Whether the caller got what is right, where `whole` is what a healthy provider answers.
    pub fn check_caller(&self, got: &Got, whole: &Bytes) {
        assert_eq!((&*got.trail, &*got.who), (self.trail, self.who));
        match self.answer {
            Answer::Whole => self.check_whole(got, whole, &got.body),
            Answer::Unterminated => {
                let rest = whole.strip_prefix(&got.body[..]).unwrap();
                assert!(
                    rest == b"data: [DONE]\n\n" || rest.starts_with(b"event: message_stop\n"),
                    "all but the terminator: {}",
                    String::from_utf8_lossy(rest)
                );
                self.check_whole(got, whole, &[&got.body, rest].concat());
            }
            Answer::Begun(pieces, kind) => check_begun(got, whole, pieces, kind),
            Answer::Refused(kind) => {
                assert_eq!((got.status, got.failure, got.error), (400, Some(kind), None));
                let said = String::from_utf8_lossy(&got.body);
                assert!(["context", "too long", "safety system", "content filtering"].iter().any(|word| said.contains(word)));
            }
        }
        let at = |ms: u64| Duration::from_millis(ms);
        let (from, to) = (at(self.head[0]), at(self.head[1]) + 10 * STEP);
        assert!((from..=to).contains(&got.head), "the head came after {:?}", got.head);
        let rest = got.took - got.head;
        assert!((at(self.rest)..=at(self.rest) + 10 * STEP).contains(&rest), "and the rest after {rest:?}");
    }

    /// A whole answer: its text, who said it, and what it cost.
    fn check_whole(&self, got: &Got, whole: &Bytes, body: &[u8]) {
        assert_eq!((got.status, got.failure, got.error), (200, None, None));
        assert!(body == &whole[..], "{}", String::from_utf8_lossy(body));
        assert_eq!(got.end, Some(StreamEnd::Complete));
        let usage = got.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(12), Some(60)));
        let header = |name: &str| got.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("x-towline-target").as_deref(), Some(self.who));
        assert_eq!(header("x-towline-attempts"), Some((self.asked[0] + self.asked[1]).to_string()));
        assert_eq!(header("x-towline-fallback").is_some(), self.who == "second");
        assert!(String::from_utf8_lossy(body).contains(self.model), "the model that answered is named");
    }
}

/// What came is the beginning of the answer, up to where it broke, and nobody can take it for a whole one.
fn check_begun(got: &Got, whole: &Bytes, pieces: usize, kind: K) {
    assert_eq!((got.status, got.failure, got.error), (200, None, Some(kind)));
    assert!(whole.starts_with(&got.body), "{}", String::from_utf8_lossy(&got.body));
    let text = String::from_utf8_lossy(&got.body);
    if text.starts_with(['d', 'e']) {
        assert_eq!(got.counted(), pieces, "pieces in {text}");
        assert!(!text.contains("[DONE]") && !text.contains("\"stop\"") && !text.contains("message_stop"), "{text}");
    } else {
        assert_eq!(got.body.len(), whole.len() * pieces / 60, "of {} bytes", whole.len());
    }
    assert!(!matches!(got.end, Some(StreamEnd::Complete)));
}
