//! What to do about a response, by its head alone.

use http::{HeaderMap, Method, Request, Response, StatusCode, header, response::Parts};
use http_body::Body;
use towline_core::{Dialect, Failure, Observer, Target};

use crate::layer::Config;

/// Bedrock's framing of a stream.
const AWS: &[u8] = b"application/vnd.amazon.eventstream";

/// What is remembered of a request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// What the target speaks, where that was told.
    pub(crate) dialect: Option<Dialect>,
    /// The target, if somebody is to be told of it.
    pub(crate) target: Option<Target>,
    /// The answer to it has a head only.
    head_only: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Hand it on.
    Pass,
    /// Look at the first frame of its body.
    Look,
    /// Read its body.
    Read,
    /// Hold it until it bears content.
    Hold,
}

/// What a body holds, as its head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Json,
    Stream,
    Text,
    Other,
}

impl Asked {
    pub(crate) fn of<B>(request: &Request<B>, observer: &Observer) -> Self {
        let target = Target::of(request.extensions());
        Self {
            dialect: target.and_then(Target::dialect),
            target: target.filter(|_| observer.is_listening()).cloned(),
            head_only: request.method() == Method::HEAD,
        }
    }
}

impl Config {
    pub(crate) fn plan<R: Body>(&self, response: &Response<R>, asked: &Asked) -> Plan {
        let status = response.status();
        if !status.is_success() {
            return if is_failure(status) { Plan::Read } else { Plan::Pass };
        }
        let content = Content::of(response.headers());
        let bodiless = asked.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        if bodiless || content == Content::Other || is_encoded(response.headers()) {
            Plan::Pass
        } else if content == Content::Stream {
            Plan::Hold
        } else if response.body().size_hint().lower() > self.read_bytes {
            Plan::Pass
        } else if !self.validators.is_empty() || (self.reject_empty && content == Content::Json) {
            Plan::Read
        } else if self.look_into_success && content == Content::Json && !response.body().is_end_stream() {
            Plan::Look
        } else {
            Plan::Pass
        }
    }
}

/// Whether a response may tell what it cost.
pub(crate) fn tells_usage(parts: &Parts) -> bool {
    parts.status.is_success() && says_json(parts) && !is_encoded(&parts.headers)
}

/// Whether a head says that its body is JSON.
pub(crate) fn says_json(parts: &Parts) -> bool {
    Content::of(&parts.headers) == Content::Json
}

/// Whether a status that is no success is a failure; what `Failure::from_status` knows, without its hint.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NOT_MODIFIED && Failure::from_status(status, &HeaderMap::new()).is_some()
}

/// Whether a body is compressed, so that its bytes tell nothing.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

impl Content {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Text };
        let value = value.as_bytes();
        let essence = value.split(|byte| *byte == b';').next().unwrap_or(value).trim_ascii();
        let starts = |prefix: &[u8]| essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        let ends = |suffix: &[u8]| {
            essence
                .len()
                .checked_sub(suffix.len())
                .and_then(|at| essence.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        };
        if essence.eq_ignore_ascii_case(b"application/json") || (starts(b"application/") && ends(b"+json")) {
            Self::Json
        } else if essence.eq_ignore_ascii_case(b"text/event-stream") || essence.eq_ignore_ascii_case(AWS) {
            Self::Stream
        } else if starts(b"text/") {
            Self::Text
        } else {
            Self::Other
        }
    }
}
