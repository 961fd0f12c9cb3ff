//! What is injected, when, and where.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use towline_core::{Dialect, FailureKind, InvalidConfig};

use crate::{provider_error::ProviderError, reply::Reply, step::Step};

/// One thing that a [`ChaosLayer`](super::ChaosLayer) does to requests: what, how often, and to which of them.
///
/// Without a word on how often it is done to every request, and without one on where to those of all targets and hosts.
///
/// ```
/// use std::{num::NonZeroU64, time::Duration};
/// use towline_testkit::{Dialect, Injection, ProviderError};
///
/// // One request in ten to the target `primary` is answered with Anthropic's 529.
/// Injection::error(Dialect::Anthropic, ProviderError::Overloaded).probability(0.1)?.for_target("primary");
/// // Each third answer breaks off after a kilobyte.
/// Injection::cut(1024).every(NonZeroU64::MIN.saturating_add(2));
/// // The next five requests wait up to two seconds.
/// Injection::delay_up_to(Duration::from_secs(2)).first(5);
/// # Ok::<(), towline_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an injection does nothing until a layer or its handle is given it"]
pub struct Injection {
    pub(super) what: What,
    pub(super) when: When,
    target: Option<Arc<str>>,
    host: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Respond(Response<Bytes>),
    Fail(FailureKind),
    Delay(Duration),
    DelayUpTo(Duration),
    Body(BodyFault),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BodyFault {
    pub(super) after: u64,
    pub(super) then: Then,
}

/// What becomes of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    Break,
    End,
    Stall(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    /// In billionths.
    Probability(u64),
    Every(NonZeroU64),
    First(u64),
}

impl Injection {
    /// The answer that a provider of this dialect gives in such a case, as [`Reply::error_of`] says it, in the place of the real one.
    pub fn error(dialect: Dialect, error: ProviderError) -> Self {
        Self::response(response(&Reply::error_of(dialect, error)))
    }

    /// This response, in the place of the real one: a proxy's page, an answer that is none.
    pub fn response(response: Response<Bytes>) -> Self {
        Self::new(What::Respond(response))
    }

    /// No answer, but an error of this kind: `Connect` for a refused connection, `Transport` for one that was reset,
    /// `Timeout(..)`. Its source is an `io::Error` of the matching kind, so that others than towline's layers can read it too.
    pub fn fail(kind: FailureKind) -> Self {
        Self::new(What::Fail(kind))
    }

    /// A wait before the request is passed on. Those of several injections add up.
    pub fn delay(wait: Duration) -> Self {
        Self::new(What::Delay(wait))
    }

    /// A random wait between zero and `most` before the request is passed on.
    pub fn delay_up_to(most: Duration) -> Self {
        Self::new(What::DelayUpTo(most))
    }

    /// The body fails after so many bytes, or at its end if it is shorter, as if the connection were lost.
    pub fn cut(after: u64) -> Self {
        Self::new(What::Body(BodyFault { after, then: Then::Break }))
    }

    /// The body ends in order after so many bytes, as if that were all: what becomes of a cut stream behind a careless proxy.
    pub fn truncate(after: u64) -> Self {
        Self::new(What::Body(BodyFault { after, then: Then::End }))
    }

    /// The body falls silent for `wait` after so many bytes, or at its end if it is shorter, and then goes on.
    pub fn stall(after: u64, wait: Duration) -> Self {
        Self::new(What::Body(BodyFault { after, then: Then::Stall(wait) }))
    }

    /// To each request with this probability, by the layer's seed.
    ///
    /// # Errors
    ///
    /// `probability` unless it lies between 0 and 1.
    pub fn probability(mut self, probability: f64) -> Result<Self, InvalidConfig> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(InvalidConfig::new("probability", "must lie between 0 and 1"));
        }
        // In range, as was just checked.
        self.when = When::Probability((probability * 1e9).round() as u64);
        Ok(self)
    }

    /// To the nth request, the 2nth, and so on.
    pub const fn every(mut self, n: NonZeroU64) -> Self {
        self.when = When::Every(n);
        self
    }

    /// To the first `n` requests from now on: where it is given to a [handle](super::ChaosHandle::inject), the next `n`.
    pub const fn first(mut self, n: u64) -> Self {
        self.when = When::First(n);
        self
    }

    /// Only to requests that carry a [`Target`](towline_core::Target) of this name. Others are not counted either.
    pub fn for_target(mut self, name: impl AsRef<str>) -> Self {
        self.target = Some(name.as_ref().into());
        self
    }

    /// Only to requests for this host, with or without a port. Others are not counted either.
    pub fn for_host(mut self, host: impl AsRef<str>) -> Self {
        self.host = Some(host.as_ref().into());
        self
    }

    /// Whether a request is one of those that it is for.
    pub(super) fn is_for(&self, target: Option<&str>, uri: &http::Uri) -> bool {
        let host = |host: &str| uri.host() == Some(host) || uri.authority().is_some_and(|authority| authority == host);
        self.target.as_deref().is_none_or(|name| target == Some(name)) && self.host.as_deref().is_none_or(host)
    }

    const fn new(what: What) -> Self {
        Self { what, when: When::Always, target: None, host: None }
    }
}

/// A reply's status, headers and bytes, without the wire.
fn response(reply: &Reply) -> Response<Bytes> {
    let mut body = BytesMut::new();
    for step in &reply.body {
        if let Step::Bytes(bytes) = step {
            body.extend_from_slice(bytes);
        }
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
