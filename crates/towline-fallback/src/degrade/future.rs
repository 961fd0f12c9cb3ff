//! One call, and what it gets in place of an answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use towline_core::{BoxError, Error, Failure, body::TryClone};

use super::{
    asked::{Answer, Asked},
    body::DegradeBody,
    mark::Handover,
};

pin_project! {
    /// The future of [`Degrade`](crate::Degrade).
    ///
    /// Dropping it drops the call beneath, or the hand-over to the queue.
    #[must_use = "futures do nothing unless polled"]
    pub struct DegradeFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        // None where nothing is configured, as is `asked`.
        inner: Option<S>,
        asked: Option<Box<Asked<B>>>,
        #[pin]
        state: State<B, S::Future, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, F, R> {
        Ready { request: Option<Request<B>> },
        Under { #[pin] future: F },
        HandedOver { taken: Handover, failed: Option<(Failure, Result<Response<R>, Error>)> },
        Fresh { answer: Option<Response<DegradeBody<R>>> },
        Done,
    }
}

impl<S, B, R> DegradeFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: Body + TryClone,
{
    pub(super) fn new(inner: S, asked: Box<Asked<B>>, request: Request<B>) -> Self {
        let state = match asked.fresh() {
            Some(answer) => State::Fresh { answer: Some(answer) },
            None => State::Ready { request: Some(request) },
        };
        Self { inner: Some(inner), asked: Some(asked), state }
    }

    /// A call that has nothing to hope for but its own answer.
    pub(super) const fn passed(future: S::Future) -> Self {
        Self { inner: None, asked: None, state: State::Under { future } }
    }
}

impl<S, B, R> Future for DegradeFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Body + TryClone,
    R: Body<Data = Bytes>,
{
    type Output = Answer<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<R>> {
        let mut this = self.project();
        loop {
            let answer = match this.state.as_mut().project() {
                StateProj::Ready { request } => {
                    let Some(inner) = this.inner else { return Poll::Pending };
                    match ready!(inner.poll_ready(cx)) {
                        Ok(()) => {
                            let Some(request) = request.take() else { return Poll::Pending };
                            let future = inner.call(request);
                            this.state.set(State::Under { future });
                            continue;
                        }
                        Err(error) => Err(Error::from(error.into())),
                    }
                }
                StateProj::Under { future } => ready!(future.poll(cx)).map_err(|error| Error::from(error.into())),
                StateProj::HandedOver { taken, failed } => {
                    let taken = ready!(taken.as_mut().poll(cx));
                    let Some((failure, answer)) = failed.take() else { return Poll::Pending };
                    this.state.set(State::Done);
                    return Poll::Ready(match (taken, this.asked) {
                        (Ok(response), Some(asked)) => Ok(asked.queued(&failure, response)),
                        (_, asked) => last_rung(asked.as_deref(), &failure, answer),
                    });
                }
                StateProj::Fresh { answer } => return answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
                StateProj::Done => return Poll::Pending,
            };
            let wants = this.asked.as_ref().and_then(|asked| Some((asked, asked.wants(&answer)?)));
            let given = match wants {
                None => answer.map(|response| live(this.asked.as_deref(), response)),
                Some((asked, failure)) => match asked.stale(&failure) {
                    Some(stale) => Ok(stale),
                    None => match asked.hand_over(&failure) {
                        Some(taken) => {
                            this.state.set(State::HandedOver { taken, failed: Some((failure, answer)) });
                            continue;
                        }
                        None => last_rung(Some(asked), &failure, answer),
                    },
                },
            };
            this.state.set(State::Done);
            return Poll::Ready(given);
        }
    }
}

fn last_rung<B, R>(asked: Option<&Asked<B>>, failure: &Failure, answer: Result<Response<R>, Error>) -> Answer<R> {
    match asked.and_then(|asked| asked.designed(failure)) {
        Some(designed) => Ok(designed),
        None => answer.map(|response| live(asked, response)),
    }
}

fn live<B, R>(asked: Option<&Asked<B>>, response: Response<R>) -> Response<DegradeBody<R>> {
    match asked {
        Some(asked) => asked.live(response),
        None => response.map(|body| DegradeBody::live(body, None)),
    }
}

impl<S: Service<Request<B>>, B, R> fmt::Debug for DegradeFuture<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DegradeFuture").finish_non_exhaustive()
    }
}
