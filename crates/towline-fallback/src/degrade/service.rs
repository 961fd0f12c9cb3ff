//! The service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;
use towline_core::{AtOnce, BoxError, Call, Error, body::TryClone, ready_at_once};

use super::{asked::Asked, body::DegradeBody, future::DegradeFuture, layer::Config};

/// The service that [`DegradeLayer`](crate::DegradeLayer) makes.
#[derive(Clone)]
pub struct Degrade<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Degrade<S> {
    pub(super) const fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The service within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service within.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Degrade<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + TryClone,
    R: Body<Data = Bytes>,
{
    type Response = Response<DegradeBody<R>>;
    type Error = Error;
    type Future = DegradeFuture<S, B, R>;

    /// Always ready: the inner service is readied within the call, and a service that cannot become ready is a failure like others. With
    /// nothing configured it is ready when the inner service is.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.config.is_empty() {
            self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.config.is_empty() {
            return DegradeFuture::under(self.inner.call(request), None);
        }
        let asked = Box::new(Asked::new(&self.config, &request));
        if let Some(answer) = asked.fresh() {
            return DegradeFuture::fresh(answer, asked);
        }
        if self.config.queue.is_some() {
            leave_time(request.extensions_mut(), Instant::now());
        }
        match ready_at_once(&mut self.inner) {
            AtOnce::Ready => DegradeFuture::under(self.inner.call(request), Some(asked)),
            AtOnce::Later(service) => DegradeFuture::readying(service, request, asked),
            AtOnce::Failed(error) => DegradeFuture::failed(Error::from(error.into()), asked),
        }
    }
}

/// What is left of a call for its queue: a tenth of its time, or this much.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Has the call beneath end before its deadline, since whoever is handed over at the deadline is cut off with the call.
fn leave_time(extensions: &mut Extensions, now: Instant) {
    let Some((call, end)) = Call::of(extensions).and_then(|call| Some((call.clone(), call.deadline()?))) else { return };
    let share = (end.saturating_duration_since(now) / 10).min(HAND_OVER);
    if let Some(earlier) = end.checked_sub(share) {
        extensions.insert(call.until(earlier));
    }
}

impl<S: fmt::Debug> fmt::Debug for Degrade<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Degrade").field("inner", &self.inner).finish_non_exhaustive()
    }
}
