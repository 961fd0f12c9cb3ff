//! A provider that answers at once: whole, streamed, or with a 503 for ever. It counts what it is asked.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lab::{BoxError, completion};
use tokio::net::TcpListener;

/// Events of a stream, each in a frame of its own.
const EVENTS: u32 = 20;

static DOWN: AtomicU64 = AtomicU64::new(0);

/// A stream whose events are all there.
struct Events {
    left: u32,
}

pub(super) async fn serve() -> Result<(), BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

/// `/down/..` is a provider that is down, `/asked` tells how often it was asked.
async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Events>>, BoxError> {
    if request.uri().path() == "/asked" {
        return Ok(Response::new(Either::Left(DOWN.load(Ordering::Relaxed).to_string().into())));
    }
    let down = request.uri().path().starts_with("/down/");
    let body = request.into_body().collect().await?.to_bytes();
    let streamed = body.windows(13).any(|part| part == b"\"stream\":true");
    let response = Response::builder();
    if down {
        DOWN.fetch_add(1, Ordering::Relaxed);
        return Ok(response.status(503).body(Either::Left(Full::default()))?);
    }
    let (kind, body) = match streamed {
        true => ("text/event-stream", Either::Right(Events { left: EVENTS })),
        false => ("application/json", Either::Left(completion().into())),
    };
    Ok(response.header(header::CONTENT_TYPE, kind).body(body)?)
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        const EVENT: &str = concat!(
            r#"data: {"id":"chatcmpl-CJ8mJ2vXq0aB4","object":"chat.completion.chunk","created":1763700000,"model":"gpt-5-2025-08-07","#,
            r#""choices":[{"index":0,"delta":{"content":" layer"},"logprobs":null,"finish_reason":null}]}"#,
            "\n\n"
        );
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        let data = if left == 0 { "data: [DONE]\n\n" } else { EVENT };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
    }
}
