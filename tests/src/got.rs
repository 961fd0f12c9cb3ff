//! What a caller got.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use towline::{Call, Error, FailureKind, Outcome, StreamEnd, StreamHandle, Target, Usage};

use crate::Body;

/// All that a caller gets of one call, read to its end.
#[derive(Debug, Default)]
pub struct Got {
    /// The status of the response; 0 if there was none.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The name of the target that answered; empty if none did.
    pub who: String,
    /// The body, as far as it came.
    pub body: Bytes,
    /// What the response was found to be.
    pub failure: Option<FailureKind>,
    /// The error in place of a response, or at the end of its body.
    pub error: Option<FailureKind>,
    /// How long to wait before the next call, where a failure or an error says so.
    pub retry_after: Option<Duration>,
    /// How the stream ended.
    pub end: Option<StreamEnd>,
    /// What it said that it cost.
    pub usage: Option<Usage>,
    /// The attempts in short: `primary overloaded, second ok`.
    pub trail: String,
    /// How long it took until the head was there, and until the end.
    pub head: Duration,
    /// See `head`.
    pub took: Duration,
}

/// Asks once and reads all there is.
pub async fn ask<S, R>(service: S, request: Request<Body>) -> Got
where
    S: Service<Request<Body>, Response = Response<R>, Error = Error>,
    R: http_body::Body<Data = Bytes, Error = Error>,
{
    let began = Instant::now();
    let answer = service.oneshot(request).await;
    let head = began.elapsed();
    let mut got = match answer {
        Ok(response) => read(response).await,
        Err(error) => Got { trail: error.call().map(trail).unwrap_or_default(), ..Got::default() }.failed(&error),
    };
    (got.head, got.took) = (head, began.elapsed());
    got
}

async fn read<R: http_body::Body<Data = Bytes, Error = Error>>(response: Response<R>) -> Got {
    let (parts, body) = response.into_parts();
    let (mut body, mut came) = (std::pin::pin!(body), BytesMut::new());
    let mut got = Got { status: parts.status.as_u16(), ..Got::default() };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => came.extend(frame.into_data().unwrap_or_default()),
            Err(error) => got = got.failed(&error),
        }
    }
    assert!(body.is_end_stream() || got.error.is_some() || body.size_hint().exact().is_none_or(|left| left == 0));
    let failure = parts.extensions.get::<Outcome>().and_then(Outcome::failure);
    let handle = StreamHandle::of(&parts.extensions);
    Got {
        who: Target::of(&parts.extensions).map_or_else(String::new, |target| target.name().to_owned()),
        body: came.freeze(),
        failure: failure.map(|failure| failure.kind),
        retry_after: failure.and_then(|failure| failure.hint.retry_after),
        end: handle.and_then(StreamHandle::end),
        usage: handle.and_then(StreamHandle::usage),
        trail: Call::of(&parts.extensions).map(trail).unwrap_or_default(),
        headers: parts.headers,
        ..got
    }
}

/// The attempts of a call in short.
pub fn trail(call: &Call) -> String {
    let line = |attempt: towline::Attempt| {
        format!("{} {}", attempt.target.as_deref().unwrap_or("-"), attempt.failure.map_or("ok", FailureKind::name))
    };
    call.trail().into_iter().map(line).collect::<Vec<_>>().join(", ")
}

impl Got {
    fn failed(mut self, error: &Error) -> Self {
        (self.error, self.retry_after) = (Some(error.kind()), error.failure().hint.retry_after);
        self
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// How many of the numbers from 1 to 60 that the testkit's answer counts are there.
    pub fn counted(&self) -> usize {
        let text = self.text();
        (1..=60).filter(|n| text.contains(&format!("\"{n} ")) || text.contains(&format!(" {n} "))).count()
    }
}
