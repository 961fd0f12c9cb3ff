//! A service of a target's own, of whatever type.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use http::{Request, Response};
use tower_service::Service;
use towline_core::{BoxError, Call, Error, Failure, FailureKind};

pub(crate) type Sent<R> = Pin<Box<dyn Future<Output = Result<Response<R>, Error>> + Send>>;

pub(crate) trait Route<B, R>: Send + Sync {
    fn send(&self, request: Request<B>) -> Sent<R>;
}

impl<S, B, R> Route<B, R> for S
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
{
    fn send(&self, request: Request<B>) -> Sent<R> {
        let mut service = self.clone();
        let elsewhere = Call::of(request.extensions()).is_some_and(Call::has_alternative);
        Box::pin(async move {
            poll_fn(|cx| match service.poll_ready(cx) {
                Poll::Pending if elsewhere => Poll::Ready(Err(Failure::new(FailureKind::LimitedLocally).into())),
                ready => ready.map_err(|error| Error::from(error.into())),
            })
            .await?;
            service.call(request).await.map_err(|error| Error::from(error.into()))
        })
    }
}
