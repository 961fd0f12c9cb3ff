//! The configuration, and the keys' state that all services made from one layer share.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_layer::Layer;
use towline_core::{InvalidConfig, Keyed, Target};

use super::{
    ring::{KeyState, Rests, Ring},
    service::AuthorizeService,
};

/// Puts the credentials of its target into each attempt, right before it is sent.
///
/// For targets with an [authorizer](Target::with_authorizer) or [several keys](Target::with_keys). It stands beneath retry, so that each
/// attempt is asked for anew (a token may expire between two), and directly above `ClassifyLayer`, which tells it what a failure speaks of;
/// nothing beneath changes the request any more. All other requests pass through untouched and cost nothing.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use towline_core::{BoxError, Credential, Target};
/// use towline_fallback::{AuthorizeLayer, FallbackLayer};
/// use tower::{Layer, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let keys = [Credential::bearer("sk-one")?, Credential::bearer("sk-two")?];
/// // A provider that limits the first key.
/// let provider = tower::service_fn(async |request: Request<Full<Bytes>>| {
///     let status = if request.headers()["authorization"] == "Bearer sk-one" { 429 } else { 200 };
///     Ok::<_, BoxError>(Response::builder().status(status).body(())?)
/// });
/// let client = AuthorizeLayer::new().layer(provider);
/// let client = FallbackLayer::new([Target::new("openai", "https://api.openai.com/v1")?.with_keys(keys)])?.layer(client);
/// assert_eq!(client.oneshot(Request::post("/v1/responses").body(Full::default())?).await?.status(), 200);
/// # Ok::<_, BoxError>(()) }).unwrap();
/// ```
///
/// # Several keys
///
/// All attempts use one key as long as it is good. After a failure of scope `Credential`:
///
/// | failure | the key | the attempt |
/// |---|---|---|
/// | `RateLimited` | rests for as long as told, else 5 s | goes on with the next good key, at once |
/// | `Auth`, `Permission`, `QuotaExhausted` | is quarantined: 60 s, twice as long each further time, up to an hour, or longer if told so (a day at most); a success ends the doubling | the same |
/// | any other, and those of another scope | stays | is answered |
///
/// Where no good key is left, the answer is handed on as it is. The next attempt then uses the limited key that is the first to be good
/// again. When all are quarantined nothing is sent: the answer is an [`Error`](towline_core::Error) of kind `Auth`, or `QuotaExhausted` if
/// that was the reason with any, of local origin, with the soonest end of a quarantine as `retry_after` and [`KeysExhausted`](crate::KeysExhausted)
/// as its source; at the edge of an axum app a 502, or a 429. Each key that is passed is a line in the trail of the call.
///
/// # An authorizer
///
/// It is asked for each attempt, with the request as it will be sent. If the target answers `Auth` and
/// [`Authorize::rejected`](towline_core::Authorize::rejected) says that it has another credential now, the attempt is made once more. An
/// authorizer that fails is an error of kind `Auth` and of local origin; nothing is sent then.
///
/// # Cost, cancellation
///
/// An attempt with keys or an authorizer costs a copy of the request and a box. While an authorizer waits, the service beneath is kept
/// ready. Dropping the future drops the attempt, or the wait; the keys' state is in nobody's hands meanwhile.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AuthorizeLayer {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    rests: Rests,
    rings: Arc<Keyed<Mutex<Ring>>>,
}

/// Keys that nobody used for as long as the longest rest are good again anyway.
const IDLE: Duration = Duration::from_secs(25 * 3600);

impl AuthorizeLayer {
    /// A layer with the defaults above.
    pub fn new() -> Self {
        let rests =
            Rests { limited: Duration::from_secs(5), quarantine: Duration::from_secs(60), cap: Duration::from_secs(3600) };
        Self { shared: Arc::new(Shared { rests, rings: Arc::new(Keyed::new(IDLE, Instant::now())) }) }
    }

    /// How long a key that was not accepted is left alone: the first time, and at most. Default: 60 s and an hour.
    ///
    /// # Errors
    ///
    /// `quarantine` if the first is zero, or the most is less.
    pub fn quarantine(self, first: Duration, most: Duration) -> Result<Self, InvalidConfig> {
        if first.is_zero() || most < first {
            return Err(InvalidConfig::new("quarantine", "must be above zero, and at most as long at first as at most"));
        }
        Ok(self.with(|rests| (rests.quarantine, rests.cap) = (first, most)))
    }

    /// How long a key that is limited is left alone if the provider does not say. Default: 5 s.
    pub fn limited_for(self, rest: Duration) -> Self {
        self.with(|rests| rests.limited = rest)
    }

    /// What is known of the keys of a target, in their order: one that has never failed is good. Empty for a target without
    /// [several](Target::with_keys).
    #[must_use]
    pub fn keys(&self, target: &Target) -> Vec<KeyState> {
        let ring = self.shared.rings.get(target.name());
        let known = ring.map(|ring| ring.lock().states(Instant::now())).unwrap_or_default();
        (0..target.keys().len()).map(|at| known.get(at).copied().unwrap_or(KeyState::Good)).collect()
    }

    fn with(self, change: impl FnOnce(&mut Rests)) -> Self {
        let (mut rests, rings) = (self.shared.rests, Arc::clone(&self.shared.rings));
        change(&mut rests);
        Self { shared: Arc::new(Shared { rests, rings }) }
    }
}

impl Shared {
    pub(super) const fn rests(&self) -> &Rests {
        &self.rests
    }

    pub(super) fn ring(&self, target: &Target, now: Instant) -> Arc<Mutex<Ring>> {
        self.rings.get_or_insert_with(target.key(), now, Mutex::default)
    }
}

impl Default for AuthorizeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthorizeService::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for AuthorizeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer").field("rests", &self.shared.rests).finish_non_exhaustive()
    }
}
