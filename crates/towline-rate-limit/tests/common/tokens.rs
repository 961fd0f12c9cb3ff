//! A provider that tells what its answers cost, and calls that say what they may cost.

use std::{
    convert::Infallible,
    num::{NonZeroU32, NonZeroU64},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::Service;
use towline_core::{Call, Facts, StreamEnd, StreamHandle, Usage};
use towline_rate_limit::{Limits, RateLimitLayer};

pub(crate) fn n(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

pub(crate) fn few(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A layer that uses the whole of these limits.
pub(crate) fn whole(limits: Limits) -> RateLimitLayer {
    RateLimitLayer::new(limits).share(1.0).unwrap()
}

/// A request of so many tokens that asks for no more than so many.
pub(crate) fn asks(input: u64, max_output: u64) -> Request<usize> {
    let mut facts = Facts::default();
    (facts.input_tokens, facts.max_output_tokens) = (input, Some(max_output));
    let mut request = Request::new(0);
    request.extensions_mut().insert(Call::new(facts, Instant::now(), None));
    request
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Input and output tokens.
    pub(crate) told: Option<(u64, u64)>,
    pub(crate) end: StreamEnd,
}

pub(crate) fn answer(input: u64, output: u64) -> Answer {
    Answer { status: 200, headers: Vec::new(), told: Some((input, output)), end: StreamEnd::Complete }
}

/// The most that were asked within any such time.
pub(crate) fn most_within(asked: &[Instant], time: Duration) -> usize {
    asked.iter().map(|first| asked.iter().filter(|at| **at >= *first && **at - *first < time).count()).max().unwrap_or(0)
}

/// Answers in turn, and with nothing about tokens when it has said all; notes when it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Provider(Arc<Mutex<(Vec<Answer>, Vec<Instant>)>>);

impl Provider {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self(Arc::new(Mutex::new((answers, Vec::new()))))
    }

    pub(crate) fn asked(&self) -> Vec<Instant> {
        self.0.lock().1.clone()
    }
}

impl Service<Request<usize>> for Provider {
    type Response = Response<Told>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Told>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<usize>) -> Self::Future {
        let (now, mut state) = (Instant::now(), self.0.lock());
        state.1.push(now);
        let answer = state.0.pop().unwrap_or(Answer { told: None, ..answer(0, 0) });
        let handle = StreamHandle::new(now);
        if let Some((input, output)) = answer.told {
            let mut usage = Usage::default();
            (usage.input_tokens, usage.output_tokens) = (Some(input), Some(output));
            handle.record_usage(usage);
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(*name, value);
        }
        let mut response = response.body(Told { handle: handle.clone(), end: answer.end, frames: 2 }).unwrap();
        response.extensions_mut().insert(handle);
        std::future::ready(Ok(response))
    }
}

/// Two frames, and then the end that it was told to have.
#[derive(Debug)]
pub(crate) struct Told {
    handle: StreamHandle,
    end: StreamEnd,
    frames: usize,
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.frames == 0 {
            self.handle.settle(self.end.clone());
            return Poll::Ready(None);
        }
        self.frames -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data")))))
    }
}
