//! One call, hop after hop.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;
use towline_core::{Attempt, BoxError, Call, Error, Event, Failure, KeptRequest, Outcome, Target, body::TryClone};

use crate::{layer::Config, rewrite::rewrite, table};

type Answer<R> = Result<Response<R>, Error>;

pin_project! {
    /// The future of [`Fallback`](crate::Fallback).
    ///
    /// Ends with the first answer, or with the most useful failure. Dropping it cancels the hop that is under way; no other is begun.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        inner: S,
        config: Arc<Config>,
        call: Option<Call>,
        // To make further hops from; none where there will be none.
        original: Option<KeptRequest<B>>,
        at: usize,
        began: Instant,
        // How long the call's trail was when this hop began.
        trail: usize,
        best: Option<(Failure, Answer<R>)>,
        #[pin]
        state: State<B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, F> {
        // The inner service is being readied for this request.
        Ready { request: Option<Request<B>> },
        Under { #[pin] future: F },
        // The request could not be made for this target.
        Refused { error: Option<Error> },
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: Body + TryClone + From<Bytes>,
{
    pub(crate) fn new(inner: S, config: Arc<Config>, request: Request<B>) -> Self {
        let call = Call::of(request.extensions()).cloned();
        let original = config.has_next(0).then(|| KeptRequest::keep(&request)).flatten();
        let state = match config.targets.first() {
            Some(target) => State::hop(rewrite(request, target, &config.secrets)),
            None => State::Ready { request: Some(request) },
        };
        let trail = call.as_ref().map_or(0, Call::attempts);
        Self { inner, config, call, original, at: 0, began: Instant::now(), trail, best: None, state }
    }
}

impl<B, F> State<B, F> {
    fn hop(request: Result<Request<B>, Error>) -> Self {
        match request {
            Ok(request) => Self::Ready { request: Some(request) },
            Err(error) => Self::Refused { error: Some(error) },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    type Output = Answer<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        loop {
            let answer = ready!(self.as_mut().poll_hop(cx));
            if let Some(answer) = self.as_mut().settle(answer) {
                return Poll::Ready(answer);
            }
        }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone + From<Bytes>,
{
    fn poll_hop(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Ready { request } => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Err(Error::from(error.into())));
                    }
                    match request.take() {
                        Some(request) => this.inner.call(request),
                        // Only a future that has ended has no request and none under way.
                        None => return Poll::Pending,
                    }
                }
                StateProj::Under { future } => return future.poll(cx).map_err(|e| Error::from(e.into())),
                StateProj::Refused { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            };
            this.state.set(State::Under { future });
        }
    }

    /// What becomes of the call after a hop's answer: the answer, or `None` after moving on.
    fn settle(self: Pin<&mut Self>, answer: Answer<R>) -> Option<Answer<R>> {
        let mut this = self.project();
        let Some(target) = this.config.targets.get(*this.at) else { return Some(answer) };
        let failure = Outcome::of(answer.as_ref()).into_failure();
        let now = Instant::now();
        if let Some(call) = this.call {
            // A retry layer beneath writes down each attempt; where there is none, the hop is the attempt.
            if call.attempts() == *this.trail {
                call.record(attempt(target, failure.as_ref(), &answer, *this.began, now));
            }
            *this.trail = call.attempts();
        }
        let Some(failure) = failure else { return Some(answer.map(|response| answered_by(response, target))) };

        let in_time = this.call.as_ref().and_then(|call| call.remaining(now)).is_none_or(|left| !left.is_zero());
        let next = this.config.targets.get(*this.at + 1).filter(|_| in_time && this.config.may_move_on(*this.at, &failure));
        let request = next.and_then(|next| Some((next, this.original.as_ref()?.request()?)));
        let Some((next, request)) = request else {
            let is_final = !table::moves_on(&failure);
            return Some(this.best.take().filter(|(best, _)| !is_final && !table::is_more_useful(&failure, best)).map_or_else(
                || exhausted(this.config, *this.at, &failure, answer.map(|response| answered_by(response, target))),
                |(best, kept)| exhausted(this.config, *this.at, &best, kept),
            ));
        };

        this.config.observer.tell(&Event::FallbackMoved { from: target, to: next, failure: &failure });
        let answer = answer.map(|response| answered_by(response, target));
        if this.best.as_ref().is_none_or(|(best, _)| table::is_more_useful(&failure, best)) {
            *this.best = Some((failure, answer));
        }
        *this.at += 1;
        *this.began = now;
        this.state.set(State::hop(rewrite(request, next, &this.config.secrets)));
        None
    }
}

fn attempt<R>(target: &Target, failure: Option<&Failure>, answer: &Answer<R>, began: Instant, now: Instant) -> Attempt {
    let mut attempt = Attempt::new(began, now);
    attempt.target = Some(Arc::clone(target.key()));
    attempt.failure = failure.map(|failure| failure.kind);
    attempt.status = answer.as_ref().ok().map(Response::status);
    attempt
}

fn answered_by<R>(mut response: Response<R>, target: &Target) -> Response<R> {
    response.extensions_mut().insert(target.clone());
    response
}

fn exhausted<R>(config: &Config, at: usize, failure: &Failure, answer: Answer<R>) -> Answer<R> {
    config.observer.tell(&Event::FallbackExhausted { tried: at + 1, failure });
    answer
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("target", &self.config.targets.get(self.at).map(Target::name))
            .finish_non_exhaustive()
    }
}
