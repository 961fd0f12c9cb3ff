//! The service that does nothing, and the request that it is asked.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::Service;

/// The body of requests and answers.
pub(crate) type Body = Full<Bytes>;

/// How long the body of an answer is.
pub(crate) const ANSWERED: usize = 1024;

/// How long the body of a request is.
const ASKED: usize = 512;

/// An answer as it comes over the wire: some sixty quotes, and a text that fills it up.
const COMPLETION: [&str; 2] = [
    r#"{"id":"chatcmpl-CJ8mJ2vXq0aB4","object":"chat.completion","created":1763700000,"model":"gpt-5-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":""#,
    r#"","refusal":null,"annotations":[]},"finish_reason":"stop"}],"usage":{"prompt_tokens":97,"completion_tokens":84,"total_tokens":181,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_9e15ccd6a4"}"#,
];

const QUESTION: [&str; 2] = [
    r#"{"model":"gpt-5","max_completion_tokens":256,"messages":[{"role":"system","content":"Answer in one sentence."},{"role":"user","content":""#,
    r#""}]}"#,
];

/// Answers 200 at once, or the second time that it is asked whether it has finished.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) pends: bool,
    answer: Bytes,
}

/// An answer on its way. Never inlined, since no transport is.
#[derive(Debug)]
pub(crate) struct Answer {
    pends: bool,
    body: Bytes,
}

impl Provider {
    pub(crate) fn new(pends: bool) -> Self {
        Self { pends, answer: completion().into() }
    }
}

impl Service<Request<Body>> for Provider {
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, _: Request<Body>) -> Answer {
        Answer { pends: self.pends, body: self.answer.clone() }
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, io::Error>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pends) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut response = Response::new(Full::new(self.body.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Poll::Ready(Ok(response))
    }
}

/// A request such as a client of a provider sends: 12 headers, 512 bytes of JSON.
pub(crate) fn request() -> Result<Request<Body>, http::Error> {
    let request = Request::post("https://api.example.com/v1/chat/completions")
        .header(header::HOST, "api.example.com")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, "512")
        .header(header::ACCEPT, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::AUTHORIZATION, "Bearer sk-0123456789abcdef0123456789abcdef")
        .header(header::USER_AGENT, "lab/0.1")
        .header("x-request-id", "0b7e5f0c-1f3c-4b0a-9b6e-2f1f4f3b9a11")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("openai-organization", "org-0123456789")
        .header("openai-project", "proj-0123456789")
        .header("x-tenant", "acme");
    request.body(Full::new(question().into()))
}

/// A chat completion of 1 KiB.
#[must_use]
pub fn completion() -> String {
    filled(COMPLETION, ANSWERED)
}

/// A request for one, of 512 bytes.
#[must_use]
pub fn question() -> String {
    filled(QUESTION, ASKED)
}

/// A document of `length` bytes, with text between its beginning and its end.
fn filled([begin, end]: [&str; 2], length: usize) -> String {
    let text = "The quick brown fox jumps over the lazy dog, and \\\"why\\\" is a matter of taste. ".repeat(length / 64);
    let text = text.get(..length.saturating_sub(begin.len() + end.len())).unwrap_or_default();
    // An escape that is cut in two would leave the document open.
    let whole = text.trim_end_matches(['\\', '"']);
    [begin, whole, &" ".repeat(text.len() - whole.len()), end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_and_answered_has_the_length_that_is_told() {
        assert_eq!(filled(COMPLETION, ANSWERED).len(), ANSWERED);
        assert_eq!(filled(QUESTION, ASKED).len(), ASKED);
    }
}
