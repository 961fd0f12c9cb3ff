//! What the provider answers, well or badly.

use std::time::Duration;

use bytes::Bytes;

use crate::{gate::Gate, step::Step};

/// One answer of a [`MockProvider`](crate::MockProvider), as it goes over the wire.
///
/// A reply is a head and a body made of pieces. A [`Step`] put before the head, into it, or anywhere in the body makes it
/// misbehave there: wait, hang, close or reset.
///
/// ```
/// use std::time::Duration;
/// use towline_testkit::{Reply, Step};
///
/// // Well-behaved.
/// Reply::status(429).header("retry-after", "2").json(r#"{"error":{"message":"slow down"}}"#);
/// Reply::sse([r#"{"delta":"Hel"}"#, r#"{"delta":"lo"}"#, "[DONE]"]);
/// // No answer at all.
/// Reply::reset();
/// Reply::close();
/// Reply::silence();
/// // An answer that begins.
/// Reply::ok().in_head(Step::Hang);                                     // a stall inside the head
/// Reply::ok().then(Step::Hang);                                        // the head at once, then silence
/// Reply::ok().json("{\"answer\":42}").at(5, Step::Close);              // five bytes of thirteen
/// Reply::stream().event("one").event("two").then(Step::Reset);         // a stream that dies
/// Reply::ok().text("slow").drip(Duration::from_secs(1));               // a byte a second
/// ```
///
/// Status and headers are written as they stand, unchecked, so that a test can send what no library would.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Bytes)>,
    pub(crate) before: Vec<Step>,
    pub(crate) in_head: Vec<Step>,
    pub(crate) body: Vec<Step>,
    pub(crate) framing: Framing,
    pub(crate) drip_head: Option<Duration>,
    pub(crate) drip: Option<Duration>,
    pub(crate) hang_up: bool,
    pub(crate) early: bool,
    /// How many events of a streamed answer come before its first piece of text.
    pub(crate) opening: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No head and no framing: the body is all that goes out.
    Raw,
    Length,
    Chunked,
    UntilClose,
}

impl Reply {
    /// A reply with this status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            before: Vec::new(),
            in_head: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            drip_head: None,
            drip: None,
            hang_up: false,
            early: false,
            opening: 0,
        }
    }

    /// A reply with the status 200 and an empty body.
    #[must_use]
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A stream of server-sent events, with none so far: 200, `text/event-stream`, chunked.
    #[must_use]
    pub fn stream() -> Self {
        Self::ok().header("content-type", "text/event-stream").framed(Framing::Chunked)
    }

    /// A stream of server-sent events, each with its own write. No `[DONE]` is added.
    #[must_use]
    pub fn sse<T: AsRef<str>>(events: impl IntoIterator<Item = T>) -> Self {
        events.into_iter().fold(Self::stream(), |reply, event| reply.event(event))
    }

    /// Exactly these steps, without a head or any framing of ours. The connection stays open after the last, as it does
    /// after any reply; [`Step::Close`] closes it.
    #[must_use]
    pub fn raw(steps: impl IntoIterator<Item = Step>) -> Self {
        steps.into_iter().fold(Self::ok().framed(Framing::Raw), Self::then)
    }

    /// Resets the connection (RST) instead of answering.
    #[must_use]
    pub fn reset() -> Self {
        Self::raw([Step::Reset])
    }

    /// Closes the connection (FIN) instead of answering.
    #[must_use]
    pub fn close() -> Self {
        Self::raw([Step::Close])
    }

    /// Never answers. The connection stays open until the peer leaves or the provider is dropped.
    #[must_use]
    pub fn silence() -> Self {
        Self::raw([Step::Hang])
    }

    /// Answers with a greeting that is not HTTP, and closes.
    #[must_use]
    pub fn not_http() -> Self {
        Self::raw([Step::Bytes(Bytes::from_static(b"220 mail.example.com ESMTP\r\n")), Step::Close])
    }

    /// Adds a header. One that the kit would set itself (`content-length`, `transfer-encoding`, `content-type`, `connection`)
    /// takes its place.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a JSON text to the body, with its content type, under a `content-length`.
    #[must_use]
    pub fn json(self, json: impl Into<Bytes>) -> Self {
        self.content_type("application/json").body(json)
    }

    /// Adds plain text to the body, with its content type, under a `content-length`.
    #[must_use]
    pub fn text(self, text: impl Into<Bytes>) -> Self {
        self.content_type("text/plain; charset=utf-8").body(text)
    }

    /// Adds bytes to the body, under a `content-length`.
    #[must_use]
    pub fn body(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Bytes(bytes.into())).framed(Framing::Length)
    }

    /// Adds one chunk to the body, with its own write, under `transfer-encoding: chunked`.
    #[must_use]
    pub fn chunk(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Bytes(bytes.into())).framed(Framing::Chunked)
    }

    /// Adds chunks to the body, each with its own write, under `transfer-encoding: chunked`.
    #[must_use]
    pub fn chunks<T: Into<Bytes>>(self, chunks: impl IntoIterator<Item = T>) -> Self {
        chunks.into_iter().fold(self.framed(Framing::Chunked), Self::chunk)
    }

    /// Adds one server-sent event: a `data:` line for each line of `data`, and the blank line, in one chunk.
    #[must_use]
    pub fn event(self, data: impl AsRef<str>) -> Self {
        let text = data_lines(data.as_ref());
        self.chunk(text)
    }

    /// Adds one server-sent event with a name: an `event:` line before the data.
    #[must_use]
    pub fn named_event(self, name: impl AsRef<str>, data: impl AsRef<str>) -> Self {
        let text = format!("event: {}\n{}", name.as_ref(), data_lines(data.as_ref()));
        self.chunk(text)
    }

    /// Sends the body under a `content-length` of all its pieces, whatever they were added as.
    #[must_use]
    pub fn with_length(self) -> Self {
        self.framed(Framing::Length)
    }

    /// Sends the body with neither length nor chunks: it ends where the connection does.
    #[must_use]
    pub fn until_close(self) -> Self {
        self.framed(Framing::UntilClose)
    }

    /// Does `step` after what the body has so far.
    ///
    /// After [`Step::Close`], [`Step::Reset`] and [`Step::Hang`] nothing more is sent: no chunk, no terminator. What the
    /// body has beyond that point still counts in the `content-length`, and where there is nothing beyond it one byte is
    /// counted all the same, so that the body never looks finished.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.body.push(step);
        self
    }

    /// Does `step` after `n` bytes of the body, or at its end if it is shorter; see [`then`](Self::then).
    #[must_use]
    pub fn at(mut self, n: usize, step: Step) -> Self {
        let mut left = n;
        let mut body = Vec::with_capacity(self.body.len().saturating_add(2));
        let mut pieces = self.body.into_iter();
        for piece in pieces.by_ref() {
            match piece {
                Step::Bytes(mut bytes) if bytes.len() > left => {
                    let first = bytes.split_to(left);
                    body.extend((!first.is_empty()).then_some(Step::Bytes(first)));
                    body.extend([step.clone(), Step::Bytes(bytes)]);
                    body.extend(pieces);
                    self.body = body;
                    return self;
                }
                Step::Bytes(bytes) => {
                    left = left.saturating_sub(bytes.len());
                    body.push(Step::Bytes(bytes));
                }
                other => body.push(other),
            }
        }
        self.body = body;
        self.then(step)
    }

    /// Waits within the body, after what it has so far.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        self.then(Step::Wait(wait))
    }

    /// Waits within the body until the test opens the gate, after what the body has so far.
    #[must_use]
    pub fn gate(self, gate: &Gate) -> Self {
        self.then(Step::Gate(gate.clone()))
    }

    /// Does `step` when half of the head is written. The other half follows if the step lets it.
    #[must_use]
    pub fn in_head(mut self, step: Step) -> Self {
        self.in_head.push(step);
        self
    }

    /// Does `step` before the head.
    #[must_use]
    pub fn before_head(mut self, step: Step) -> Self {
        self.before.push(step);
        self
    }

    /// Waits before the head.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.before_head(Step::Wait(delay))
    }

    /// Sends the body byte by byte, chunk framing included, with a wait after each.
    #[must_use]
    pub fn drip(mut self, interval: Duration) -> Self {
        self.drip = Some(interval);
        self
    }

    /// Sends the head byte by byte, with a wait after each.
    #[must_use]
    pub fn drip_head(mut self, interval: Duration) -> Self {
        self.drip_head = Some(interval);
        self
    }

    /// Closes the connection after the reply, and says so: `connection: close`.
    #[must_use]
    pub fn connection_close(self) -> Self {
        self.header("connection", "close").hang_up()
    }

    /// Closes the connection after the reply without having said so, which leaves a dead connection in the client's pool.
    #[must_use]
    pub fn hang_up(mut self) -> Self {
        self.hang_up = true;
        self
    }

    /// Answers as soon as the head of the request is there. Its body is then read while and after the reply is sent, and
    /// thrown away; [`Received::complete`](crate::Received::complete) is false if there was one.
    ///
    /// Only a reply of the [script](crate::MockProvider::script) can be early: one that is computed waits for the body.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    fn content_type(self, value: &'static str) -> Self {
        if self.has_header("content-type") { self } else { self.header("content-type", value) }
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

fn data_lines(data: &str) -> String {
    let mut text: String = data.split('\n').flat_map(|line| ["data: ", line, "\n"]).collect();
    text.push('\n');
    text
}
