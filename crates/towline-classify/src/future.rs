//! One response, from its head to its outcome.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use towline_core::{
    BoxError, Error, Outcome,
    body::{Held, ReadBody, ReadUpTo},
};

use crate::{
    ClassifiedBody,
    body::{Whole, whole},
    hold::Hold,
    layer::Config,
    look,
    plan::{self, Asked, Plan},
    watch::{Settings, Watch},
};

pin_project! {
    /// The future of [`Classify`](crate::Classify).
    ///
    /// Dropping it drops the inner future, or the response with all that was read of it.
    pub struct ResponseFuture<F, R>
    where
        R: Body,
    {
        #[pin]
        state: State<F, R>,
        config: Arc<Config>,
        asked: Asked,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R>
    where
        R: Body,
    {
        Head { #[pin] head: F },
        Look { answer: Option<(Parts, Whole<R>)> },
        Read { read: Option<Box<Reading<R>>> },
        Hold { hold: Option<Box<Hold<R>>> },
    }
}

/// A response whose body is being read.
struct Reading<R: Body> {
    parts: Parts,
    body: ReadUpTo<Whole<R>>,
}

type Polled = Option<Result<Frame<Bytes>, Error>>;

impl<F, R: Body> ResponseFuture<F, R> {
    pub(crate) const fn new(head: F, config: Arc<Config>, asked: Asked) -> Self {
        Self { state: State::Head { head }, config, asked }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ClassifiedBody<R>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Head { head } => {
                    let response = ready!(head.poll(cx)).map_err(|error| Error::from(error.into()))?;
                    let plan = this.config.plan(&response, this.asked);
                    let (parts, body) = response.map(whole).into_parts();
                    match plan {
                        Plan::Pass => return Poll::Ready(Ok(this.config.hand_on(parts, ClassifiedBody::passthrough(body)))),
                        Plan::Look => State::Look { answer: Some((parts, body)) },
                        Plan::Read => State::read(parts, this.config.reader(body)),
                        Plan::Hold => State::Hold { hold: Some(Box::new(this.config.hold(parts, body, this.asked))) },
                    }
                }
                StateProj::Look { answer } => {
                    let Some((_, body)) = answer.as_mut() else { return Poll::Pending };
                    let first = ready!(Pin::new(body).poll_frame(cx));
                    let Some((parts, body)) = answer.take() else { return Poll::Pending };
                    match this.config.look(parts, body, first, this.asked) {
                        Looked::Done(response) => return Poll::Ready(Ok(response)),
                        Looked::Suspicious(parts, body) => State::read(parts, body),
                    }
                }
                StateProj::Read { read } => {
                    let Some(reading) = read.as_mut() else { return Poll::Pending };
                    let body = ready!(Pin::new(&mut reading.body).poll(cx));
                    // A future that is polled again after its end stays pending.
                    let Some(reading) = read.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(this.config.read(reading.parts, body, this.asked)));
                }
                StateProj::Hold { hold } => {
                    let Some(holding) = hold.as_mut() else { return Poll::Pending };
                    let release = ready!(holding.poll(cx));
                    let Some(holding) = hold.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(holding.release(release)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<F, R: Body> State<F, R> {
    fn read(parts: Parts, body: ReadUpTo<Whole<R>>) -> Self {
        Self::Read { read: Some(Box::new(Reading { parts, body })) }
    }
}

/// What the first frame of a body makes of it.
enum Looked<R: Body> {
    Done(Response<ClassifiedBody<R>>),
    Suspicious(Parts, ReadUpTo<Whole<R>>),
}

impl Config {
    fn reader<B>(&self, body: B) -> ReadUpTo<B> {
        ReadUpTo::new(body, self.read_bytes, self.read_time)
    }

    fn hold<R: Body>(&self, parts: Parts, body: Whole<R>, asked: &Asked) -> Hold<R> {
        let watch = Watch::stream(Settings {
            fail_cut: self.fail_cut_streams,
            reject_empty: self.reject_empty,
            usage: self.usage,
            is_answer: asked.dialect.is_some(),
            // What a head has promised to be so long must be so long.
            sift: self.drop_broken_events && body.size_hint().exact().is_none(),
        });
        let watch = watch.telling(self.observer.clone(), asked.target.clone());
        Hold::new(parts, body, watch, self.hold)
    }

    /// Judges a success by the first frame of its body, if that is enough.
    fn look<R>(&self, mut parts: Parts, body: Whole<R>, first: Polled, asked: &Asked) -> Looked<R>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let body = match first {
            None => ClassifiedBody::held(Held::complete(VecDeque::new())),
            Some(Err(error)) => {
                parts.extensions.insert(Outcome::Failure(error.failure().clone()));
                ClassifiedBody::held(Held::failed(VecDeque::new(), error))
            }
            Some(Ok(frame)) => match frame.into_data() {
                Err(trailers) => ClassifiedBody::held(Held::new(VecDeque::from([trailers]), body)),
                Ok(data) => {
                    let (is_whole, tells) = (body.is_end_stream(), look::is_suspicious(&data) || look::is_too_little(&data));
                    if tells && !is_whole {
                        return Looked::Suspicious(parts, self.reader(body).after(data));
                    }
                    if is_whole && (tells || look::is_no_json(&data)) {
                        self.judge(&mut parts, asked.dialect, &data, true);
                    }
                    ClassifiedBody::first(data, body)
                }
            },
        };
        Looked::Done(self.hand_on(parts, body))
    }

    /// Judges a response by what was read of its body.
    fn read<R>(&self, mut parts: Parts, body: ReadBody<Whole<R>>, asked: &Asked) -> Response<ClassifiedBody<R>>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        match body.error() {
            // Nothing of it was handed on, so it is as good as a connection that was lost before the head.
            Some(error) if parts.status.is_success() => {
                parts.extensions.insert(Outcome::Failure(error.failure().clone()));
            }
            _ => self.judge(&mut parts, asked.dialect, body.bytes(), body.is_complete()),
        }
        self.hand_on(parts, ClassifiedBody::held(body.into_body()))
    }

    /// The response; what a success tells of tokens is read as it passes, if that is asked for.
    fn hand_on<R>(&self, mut parts: Parts, body: ClassifiedBody<R>) -> Response<ClassifiedBody<R>>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        if !self.usage || body.is_end_stream() || !plan::tells_usage(&parts) || parts.extensions.get::<Outcome>().is_some() {
            return Response::from_parts(parts, body);
        }
        let watch = Watch::json();
        parts.extensions.insert(watch.handle().clone());
        Response::from_parts(parts, body.with(watch))
    }
}

impl<F, R: Body> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head { .. } => "head",
            State::Look { .. } => "look",
            State::Read { .. } => "read",
            State::Hold { .. } => "hold",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
