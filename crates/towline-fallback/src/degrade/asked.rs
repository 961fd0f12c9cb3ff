//! What is known of one request, and what it gets in place of an answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use towline_core::{Call, Error, Facts, Failure, KeptRequest, Outcome, StreamHandle, body::TryClone};

use super::{
    body::{DegradeBody, Recorder},
    canonical::Key,
    layer::Config,
    mark::{Degraded, Handover},
};
use crate::rewrite::in_memory;

pub(super) struct Asked<B> {
    config: Arc<Config>,
    key: Option<Key>,
    facts: Facts,
    call: Option<Call>,
    /// For the queue, where there is one.
    kept: Option<KeptRequest<B>>,
}

pub(super) type Answer<R> = Result<Response<DegradeBody<R>>, Error>;

impl<B: Body + TryClone> Asked<B> {
    pub(super) fn new(config: &Arc<Config>, request: &Request<B>) -> Self {
        let call = Call::of(request.extensions()).cloned();
        let body = request.body().try_clone().and_then(in_memory).unwrap_or_default();
        let facts = call.as_ref().map_or_else(|| towline_wire::facts::read(request.uri(), &body), |call| call.facts().clone());
        let keep_tools = |tools: bool| config.cache.as_ref().is_some_and(|cache| cache.tool_results || !tools);
        let key = config.cache.as_ref().and_then(|_| config.canonical.key(request, &body));
        let key = key.filter(|(_, tools)| keep_tools(*tools)).map(|(key, _)| key);
        let kept = config.queue.as_ref().and_then(|_| KeptRequest::keep(request));
        Self { config: Arc::clone(config), key, facts, call, kept }
    }

    /// A young answer to the same request.
    pub(super) fn fresh<R>(&self) -> Option<Response<DegradeBody<R>>> {
        let (cache, now) = (self.config.cache.as_ref()?, Instant::now());
        let good = cache.get(&self.key?, cache.fresh?, now)?;
        Some(good.head(now).map(|()| DegradeBody::said(good.chunks.clone())))
    }

    /// The request handed over to the queue.
    pub(super) fn hand_over(&self, failure: &Failure) -> Option<Handover> {
        let (head, body) = self.kept.as_ref()?.request()?.into_parts();
        Some(self.config.queue.as_ref()?.take_over(Request::from_parts(head, in_memory(body)?), failure))
    }
}

impl<B> Asked<B> {
    /// Why an answer wants a substitute, if it does.
    pub(super) fn wants<R>(&self, answer: &Result<Response<R>, Error>) -> Option<Failure> {
        let failure = Outcome::of(answer.as_ref()).into_failure()?;
        self.config.degrades(&failure).then_some(failure)
    }

    pub(super) fn stale<R>(&self, failure: &Failure) -> Option<Response<DegradeBody<R>>> {
        let (cache, now) = (self.config.cache.as_ref()?, Instant::now());
        let good = cache.get(&self.key?, std::time::Duration::MAX, now)?;
        let response = good.head(now).map(|()| DegradeBody::said(good.chunks.clone()));
        Some(self.marked(Degraded::Stale(failure.clone()), response))
    }

    pub(super) fn queued<R>(&self, failure: &Failure, response: Response<Bytes>) -> Response<DegradeBody<R>> {
        self.marked(Degraded::Queued(failure.clone()), response.map(|body| DegradeBody::said(vec![body])))
    }

    /// The answer that was designed beforehand.
    pub(super) fn designed<R>(&self, failure: &Failure) -> Option<Response<DegradeBody<R>>> {
        let response = self.config.answer.as_ref()?(&self.facts, failure)?;
        Some(self.marked(Degraded::Static(failure.clone()), response.map(DegradeBody::said)))
    }

    /// An answer from beneath, written down while it passes if it may be of use later.
    pub(super) fn live<R>(&self, response: Response<R>) -> Response<DegradeBody<R>> {
        let whole = response.status() == StatusCode::OK && Outcome::of_response(&response) == Outcome::Success;
        let cache = self.config.cache.as_ref().zip(self.key).filter(|_| whole);
        let recorder = cache.map(|(cache, key)| {
            let handle = StreamHandle::of(response.extensions()).cloned();
            let (headers, left) = (response.headers().clone(), cache.max_answer());
            Box::new(Recorder { cache: cache.clone(), key, headers, handle, chunks: Vec::new(), left })
        });
        response.map(|body| DegradeBody::live(body, recorder))
    }

    fn marked<T>(&self, how: Degraded, mut response: Response<T>) -> Response<T> {
        if let Some(call) = &self.call {
            response.extensions_mut().insert(call.clone());
        }
        how.mark(response)
    }
}
