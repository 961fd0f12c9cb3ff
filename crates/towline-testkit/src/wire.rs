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
        let pieces = self.body.iter().map(|step| if let Step::Bytes(bytes) = step { bytes.len() } else { 0 }).sum::<usize>();
        pieces.saturating_add(usize::from(last_cut.is_some() && last_cut > last_piece))
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
