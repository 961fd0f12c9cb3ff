//! What is known of one attempt, and which credential is next.

use std::{pin::Pin, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tokio::time::Instant;
use towline_core::{
    Authorize, Authorized, BoxError, Call, Credential, Error, Failure, FailureKind, KeptRequest, Origin, Outcome, Target,
    Unsigned, body::TryClone,
};

use super::{
    apply,
    layer::Shared,
    ring::{About, KeysExhausted, Ring},
};
use crate::rewrite::in_memory;

pub(super) struct Attempt<S, B> {
    pub(super) service: S,
    shared: Arc<Shared>,
    target: Target,
    call: Option<Call>,
    /// Without credentials, to be sent next.
    request: Option<Request<B>>,
    /// The same, to go on with another one.
    kept: Option<KeptRequest<B>>,
    ring: Arc<Mutex<Ring>>,
    /// The keys that were shown, the last of them now.
    shown: Vec<usize>,
    renewed: bool,
    began: Instant,
}

pub(super) type Asked = Pin<Box<dyn Future<Output = Result<Vec<Credential>, BoxError>> + Send>>;

/// What to do with a request that has no credentials yet.
#[allow(clippy::large_enum_variant, reason = "it lives for a moment, and the large one is the usual one")]
pub(super) enum Next<B> {
    Send(Request<B>),
    Wait(Asked),
    Refuse(Error),
}

impl<S, B: Body + TryClone> Attempt<S, B> {
    pub(super) fn new(service: S, shared: Arc<Shared>, target: Target, mut request: Request<B>) -> Box<Self> {
        let (call, began) = (Call::of(request.extensions()).cloned(), Instant::now());
        apply::strip(&mut request, &target);
        let (kept, ring) = (KeptRequest::keep(&request), shared.ring(&target, began));
        let (request, shown) = (Some(request), Vec::new());
        Box::new(Self { service, shared, target, call, request, kept, ring, shown, renewed: false, began })
    }

    /// What to do with the request; `None` if there is none.
    pub(super) fn authorize(&mut self) -> Option<Next<B>> {
        let mut request = self.request.take()?;
        if let Some(authorizer) = self.target.authorizer() {
            let body = || in_memory(request.body().try_clone()?);
            let unsigned = Unsigned::new(request.method(), request.uri(), request.headers(), &body);
            let authorized = authorizer.authorize(&unsigned);
            self.request = Some(request);
            return match authorized {
                Authorized::Now(found) => self.found(found),
                Authorized::Later(asked) => Some(Next::Wait(asked)),
            };
        }
        // A key that was chosen after another one stands there already.
        let chosen = match self.shown.last().filter(|_| self.shown.len() > 1) {
            Some(at) => Ok(*at),
            None => self.ring.lock().pick(self.target.keys().len(), Instant::now()).inspect(|at| self.shown.push(*at)),
        };
        Some(match chosen {
            Ok(at) => {
                self.target.keys().get(at).into_iter().for_each(|key| apply::put(&mut request, key));
                Next::Send(request)
            }
            Err(failure) => Next::Refuse(Error::new(failure).with_source(KeysExhausted::new(self.target.key()))),
        })
    }

    /// What to do with a request whose credentials were found.
    pub(super) fn found(&mut self, found: Result<Vec<Credential>, BoxError>) -> Option<Next<B>> {
        let mut request = self.request.take()?;
        Some(match found {
            Ok(credentials) => {
                credentials.iter().for_each(|credential| apply::put(&mut request, credential));
                Next::Send(request)
            }
            Err(error) => Next::Refuse(Error::new(Failure::new(FailureKind::Auth).origin(Origin::Local)).with_source(error)),
        })
    }

    /// Whether the request is to be sent again, with another credential.
    pub(super) fn judge<R>(&mut self, answer: &Result<Response<R>, Error>) -> bool {
        let failure = match Outcome::of(answer.as_ref()) {
            Outcome::Failure(failure) => failure,
            Outcome::Success => {
                self.succeeded();
                return false;
            }
            _ => return false,
        };
        let now = Instant::now();
        let again = match self.target.authorizer().cloned() {
            Some(authorizer) => self.renew(&*authorizer, &failure),
            None => self.rotate(&failure, now),
        };
        let in_time = self.call.as_ref().and_then(|call| call.remaining(now)).is_none_or(|left| !left.is_zero());
        self.request = self.kept.as_ref().filter(|_| again && in_time).and_then(KeptRequest::request);
        if self.request.is_some() {
            self.record(&failure, answer, now);
        }
        self.request.is_some()
    }

    fn renew(&mut self, authorizer: &dyn Authorize, failure: &Failure) -> bool {
        let rejected = failure.kind == FailureKind::Auth && About::of(failure) == About::Dead;
        if !rejected || self.renewed {
            return false;
        }
        self.renewed = true;
        authorizer.rejected(failure)
    }

    fn rotate(&mut self, failure: &Failure, now: Instant) -> bool {
        let Some(at) = self.shown.last().copied().filter(|_| About::of(failure) != About::Nothing) else { return false };
        let mut ring = self.ring.lock();
        ring.failed(at, failure, self.shared.rests(), now);
        let next = ring.rotate(&self.shown, now);
        self.shown.extend(next);
        next.is_some()
    }

    fn succeeded(&self) {
        if let Some(at) = self.shown.last() {
            self.ring.lock().succeeded(*at, Instant::now());
        }
    }

    /// The attempts that nobody above sees are written down here.
    fn record<R>(&mut self, failure: &Failure, answer: &Result<Response<R>, Error>, now: Instant) {
        if let Some(call) = &self.call {
            let mut attempt = towline_core::Attempt::new(self.began, now);
            attempt.target = Some(Arc::clone(self.target.key()));
            attempt.failure = Some(failure.kind);
            attempt.status = answer.as_ref().ok().map(Response::status);
            call.record(attempt);
        }
        self.began = now;
    }
}
