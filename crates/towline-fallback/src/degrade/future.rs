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
        // None where nothing is configured.
        asked: Option<Box<Asked<B>>>,
        #[pin]
        state: State<S, B, S::Future, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, R> {
        Under { #[pin] future: F },
        Rare { rare: Option<Box<Rare<S, B, R>>> },
    }
}

/// What few calls come to. On the heap, so that the futures of the others are no larger for it.
enum Rare<S, B, R> {
    /// The service is being readied for this request.
    Readying(S, Request<B>),
    /// It will never be ready.
    Failed(Error),
    HandedOver(Handover, Failure, Result<Response<R>, Error>),
    Fresh(Response<DegradeBody<R>>),
}

impl<S, B, R> DegradeFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    /// Nothing is `asked` of a call that has nothing to hope for but its own answer.
    pub(super) const fn under(future: S::Future, asked: Option<Box<Asked<B>>>) -> Self {
        Self { asked, state: State::Under { future } }
    }

    /// `service` was not ready yet, and is asked again.
    pub(super) fn readying(service: S, request: Request<B>, asked: Box<Asked<B>>) -> Self {
        Self { asked: Some(asked), state: State::rare(Rare::Readying(service, request)) }
    }

    pub(super) fn failed(error: Error, asked: Box<Asked<B>>) -> Self {
        Self { asked: Some(asked), state: State::rare(Rare::Failed(error)) }
    }

    pub(super) fn fresh(answer: Response<DegradeBody<R>>, asked: Box<Asked<B>>) -> Self {
        Self { asked: Some(asked), state: State::rare(Rare::Fresh(answer)) }
    }
}

impl<S, B, F, R> State<S, B, F, R> {
    fn rare(rare: Rare<S, B, R>) -> Self {
        Self::Rare { rare: Some(Box::new(rare)) }
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
                StateProj::Under { future } => ready!(future.poll(cx)).map_err(|error| Error::from(error.into())),
                StateProj::Rare { rare } => match rare.as_deref_mut() {
                    Some(Rare::Readying(service, _)) => {
                        let ready = ready!(service.poll_ready(cx));
                        let Some(Rare::Readying(mut service, request)) = rare.take().map(|rare| *rare) else { continue };
                        match ready {
                            Ok(()) => {
                                let future = service.call(request);
                                this.state.set(State::Under { future });
                                continue;
                            }
                            Err(error) => Err(Error::from(error.into())),
                        }
                    }
                    Some(Rare::HandedOver(taken, ..)) => {
                        let taken = ready!(taken.as_mut().poll(cx));
                        let Some(Rare::HandedOver(_, failure, answer)) = rare.take().map(|rare| *rare) else { continue };
                        return Poll::Ready(match (taken, this.asked) {
                            (Ok(response), Some(asked)) => Ok(asked.queued(&failure, response)),
                            (_, asked) => last_rung(asked.as_deref(), &failure, answer),
                        });
                    }
                    _ => match rare.take().map(|rare| *rare) {
                        Some(Rare::Failed(error)) => Err(error),
                        Some(Rare::Fresh(answer)) => return Poll::Ready(Ok(answer)),
                        // Polled again after its end, it stays pending.
                        _ => return Poll::Pending,
                    },
                },
            };
            let wants = this.asked.as_ref().and_then(|asked| Some((asked, asked.wants(&answer)?)));
            let given = match wants {
                None => answer.map(|response| live(this.asked.as_deref(), response)),
                Some((asked, failure)) => match asked.stale(&failure) {
                    Some(stale) => Ok(stale),
                    None => match asked.hand_over(&failure) {
                        Some(taken) => {
                            this.state.set(State::rare(Rare::HandedOver(taken, failure, answer)));
                            continue;
                        }
                        None => last_rung(Some(asked), &failure, answer),
                    },
                },
            };
            this.state.set(State::Rare { rare: None });
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
