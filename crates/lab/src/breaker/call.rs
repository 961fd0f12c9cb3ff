//! The smallest call that is one.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tower::Service;

use crate::BoxError;

/// The body of a request: none.
pub(crate) type Asked = Empty<Bytes>;

/// The body of every answer.
const ANSWER: &[u8] = b"{}";

/// Answers at once. Neither this nor its future is ever inlined, since no transport is.
#[derive(Clone, Debug)]
pub(crate) struct Answers;

/// An answer that is there when it is first asked for.
#[derive(Debug)]
pub(crate) struct Answer;

impl Service<Request<Asked>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, _: Request<Asked>) -> Answer {
        Answer
    }
}

impl Future for Answer {
    type Output = Result<Response<Full<Bytes>>, io::Error>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Full::new(Bytes::from_static(ANSWER)))))
    }
}

/// Makes so many calls, one after the other, each answer read to its end.
pub(crate) async fn calls<S, B>(service: &mut S, calls: u64) -> Result<(), BoxError>
where
    S: Service<Request<Asked>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    for _ in 0..calls {
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
        let response = service.call(Request::new(Empty::new())).await.map_err(Into::into)?;
        let mut body = pin!(response.into_body());
        let mut read = 0;
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            read += frame.map_err(Into::into)?.data_ref().map_or(0, Buf::remaining);
        }
        if read != ANSWER.len() {
            return Err("the answer is not whole".into());
        }
    }
    Ok(())
}
