//! Bodies that keep their own pace, and whoever hears which limits passed.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use towline_core::{Event, FailureKind, Observe, Phase};
use towline_testkit::ScriptedBody;

pub(crate) type Request = http::Request<()>;
pub(crate) type Response<R> = http::Response<R>;

pub(crate) const HEAD: FailureKind = FailureKind::Timeout(Phase::Head);
pub(crate) const IDLE: FailureKind = FailureKind::Timeout(Phase::Idle);
pub(crate) const TOTAL: FailureKind = FailureKind::Timeout(Phase::Total);

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn request_with<T: Clone + Send + Sync + 'static>(extension: T) -> Request {
    let mut request = Request::default();
    request.extensions_mut().insert(extension);
    request
}

/// One byte after each pause of so many seconds, then the end.
pub(crate) fn paced(pauses: impl IntoIterator<Item = u64>) -> ScriptedBody {
    pauses.into_iter().fold(ScriptedBody::new(), |body, pause| {
        let body = if pause == 0 { body } else { body.wait(secs(pause)) };
        body.data(".")
    })
}

pub(crate) fn every(pause: u64, bytes: usize) -> ScriptedBody {
    paced(std::iter::repeat_n(pause, bytes))
}

/// Reads to the end: how many bytes came, and how it ended.
pub(crate) async fn read<B>(body: B) -> (usize, Result<(), FailureKind>)
where
    B: Body<Data = Bytes, Error = towline_core::Error>,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return (bytes, Err(error.kind())),
        }
    }
    (bytes, Ok(()))
}

/// A listener that notes which limits passed, and for whom.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<(Option<String>, Phase, Duration)>>);

impl Observe for Heard {
    fn observe(&self, event: &Event<'_>) {
        if let Event::TimedOut { target, phase, limit } = event {
            self.0.lock().push((target.map(|t| t.name().to_owned()), *phase, *limit));
        }
    }
}
