//! From a reply to the steps that go over the wire.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::{
    reply::{Framing, Reply},
    step::Step,
};

impl Reply {
    /// The steps of this reply to a request of `method`, framing included.
    pub(crate) fn into_wire(self, method: &Method) -> Vec<Step> {
        let mut steps = self.before.clone();
        if self.framing == Framing::Raw {
            steps.extend(dripped(self.body, self.drip));
            return steps;
        }
        let mut head = self.head();
        let rest = head.split_off(head.len() / 2);
        let mut head_steps = vec![Step::Bytes(head.freeze())];
        head_steps.extend(self.in_head);
        head_steps.push(Step::Bytes(rest.freeze()));
        let head_steps = if head_steps.len() == 2 { joined(head_steps) } else { head_steps };
        steps.extend(dripped(head_steps, self.drip_head));
        if *method != Method::HEAD {
            let body = if self.framing == Framing::Chunked { chunked(self.body) } else { self.body };
            steps.extend(dripped(body, self.drip));
        }
        if self.hang_up || self.framing == Framing::UntilClose {
            steps.push(Step::Close);
        }
        steps
    }

    fn head(&self) -> BytesMut {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown");
        let mut head = BytesMut::from(format!("HTTP/1.1 {} {reason}\r\n", self.status).as_bytes());
        for (name, value) in &self.headers {
            line(&mut head, name, value);
        }
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if !bodiless && !self.has_header("content-length") && !self.has_header("transfer-encoding") {
            match self.framing {
                Framing::Length => line(&mut head, "content-length", self.length().to_string().as_bytes()),
                Framing::Chunked => line(&mut head, "transfer-encoding", b"chunked"),
                Framing::Raw | Framing::UntilClose => {}
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The length to claim: all pieces, and one byte more if the reply breaks off after the last of them.
    fn length(&self) -> usize {
        let last_cut = self.body.iter().rposition(Step::cuts);
        let last_piece = self.body.iter().rposition(|step| matches!(step, Step::Bytes(bytes) if !bytes.is_empty()));
        self.body_length().saturating_add(usize::from(last_cut.is_some() && last_cut > last_piece))
    }
}

fn line(head: &mut BytesMut, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn joined(steps: Vec<Step>) -> Vec<Step> {
    let mut all = BytesMut::new();
    for step in steps {
        if let Step::Bytes(bytes) = step {
            all.extend_from_slice(&bytes);
        }
    }
    vec![Step::Bytes(all.freeze())]
}

/// Each piece as a chunk, and the terminator. An empty piece is left out, since it would end the body.
fn chunked(body: Vec<Step>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(body.len().saturating_add(1));
    for step in body {
        match step {
            Step::Bytes(bytes) if bytes.is_empty() => {}
            Step::Bytes(bytes) => {
                let mut chunk = BytesMut::from(format!("{:x}\r\n", bytes.len()).as_bytes());
                chunk.extend_from_slice(&bytes);
                chunk.extend_from_slice(b"\r\n");
                steps.push(Step::Bytes(chunk.freeze()));
            }
            other => steps.push(other),
        }
    }
    steps.push(Step::Bytes(Bytes::from_static(b"0\r\n\r\n")));
    steps
}

fn dripped(steps: Vec<Step>, interval: Option<Duration>) -> Vec<Step> {
    let Some(interval) = interval else { return steps };
    let mut slow = Vec::new();
    for step in steps {
        match step {
            Step::Bytes(bytes) => {
                slow.extend((0..bytes.len()).flat_map(|i| [Step::Bytes(bytes.slice(i..=i)), Step::Wait(interval)]));
            }
            other => slow.push(other),
        }
    }
    slow
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(steps: &[Step]) -> String {
        let bytes = |step: &Step| if let Step::Bytes(bytes) = step { bytes.to_vec() } else { Vec::new() };
        String::from_utf8(steps.iter().flat_map(bytes).collect()).unwrap()
    }

    fn wire(reply: Reply) -> Vec<Step> {
        reply.into_wire(&Method::GET)
    }

    #[test]
    fn a_head_goes_out_in_one_write_unless_something_happens_in_it() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(&wire(Reply::ok())[..], [Step::Bytes(bytes)] if bytes == head));
        let halves = wire(Reply::ok().in_head(Step::Hang));
        assert!(matches!(&halves[..], [Step::Bytes(_), Step::Hang, Step::Bytes(_)]));
        assert_eq!(text(&halves), head);
    }

    #[test]
    fn a_body_that_breaks_off_never_looks_finished() {
        let length = |reply: Reply| reply.length();
        assert_eq!(length(Reply::ok().text("hello")), 5);
        assert_eq!(length(Reply::ok().text("hello").wait(Duration::ZERO)), 5);
        assert_eq!(length(Reply::ok().text("hello").at(2, Step::Close)), 5);
        assert_eq!(length(Reply::ok().text("hello").then(Step::Close)), 6);
        assert_eq!(length(Reply::ok().then(Step::Hang)), 1);
        assert_eq!(length(Reply::ok().then(Step::Hang).text("")), 1);
    }

    #[test]
    fn a_reply_that_may_have_no_body_claims_none() {
        for status in [204, 304] {
            assert!(!text(&wire(Reply::status(status))).contains("content-length"));
        }
    }

    #[test]
    fn a_drip_is_one_byte_and_one_wait_at_a_time() {
        let steps = wire(Reply::ok().text("ab").drip(Duration::from_secs(1)));
        let [Step::Bytes(_), Step::Bytes(a), Step::Wait(_), Step::Bytes(b), Step::Wait(_)] = &steps[..] else {
            panic!("{steps:?}")
        };
        assert_eq!((&a[..], &b[..]), (&b"a"[..], &b"b"[..]));
    }

    proptest! {
        #[test]
        fn a_step_stands_after_as_many_bytes_as_it_was_told(pieces in prop::collection::vec("[a-z]{0,5}", 0..6), at in 0_usize..40) {
            let whole = pieces.concat();
            let reply = pieces.into_iter().fold(Reply::ok().with_length(), Reply::body).at(at, Step::Reset);
            let steps = reply.body;
            let place = steps.iter().position(Step::cuts).unwrap();
            prop_assert_eq!(text(&steps[..place]), &whole[..at.min(whole.len())]);
            prop_assert_eq!(text(&steps), whole);
        }
    }
}
