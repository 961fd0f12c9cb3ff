//! The configuration.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use towline_core::{Facts, Failure, FailureKind, Origin, Scope};

use super::{answer, cache::Cache, canonical::Canonical, mark::Queue, service::Degrade};

/// Answers when nobody could: with a good answer that was given before, by the user's queue, or with one that was designed beforehand.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use towline_core::BoxError;
/// use towline_fallback::{DegradeLayer, Degraded};
/// use tower::{Layer, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let down = tower::service_fn(async |_: Request<Full<Bytes>>| {
///     Ok::<_, BoxError>(Response::builder().status(503).body(Full::<Bytes>::default())?)
/// });
/// let client = DegradeLayer::new().answer("I cannot think at the moment.").layer(down);
///
/// let question = Request::post("/v1/messages").body(Full::from(r#"{"model":"claude","messages":[]}"#))?;
/// let answer = client.oneshot(question).await?;
/// assert_eq!((answer.status().as_u16(), answer.headers()["x-towline-degraded"].to_str()?), (200, "static"));
/// assert!(matches!(Degraded::of(answer.extensions()), Some(Degraded::Static(_))));
/// let body = answer.into_body().collect().await?.to_bytes();
/// assert!(body.starts_with(br#"{"content":[{"text":"I cannot think"#));
/// # Ok::<_, BoxError>(()) }).unwrap();
/// ```
///
/// # What it answers
///
/// A success passes. So does a failure that is no outage: a request that is wrong, too long, too large or against a policy, a key that is
/// not accepted, a model that does not exist, whatever the caller caused; [`degrades`](Self::degrades) has the first word. For all others, in
/// this order, what is configured and has something to give:
///
/// 1. [`cache`](Self::cache): the good answer to the same request that is not older than the cache's time to live. A stream is given
///    as a stream, chunk by chunk as it came.
/// 2. [`queue`](Self::queue): what the user's queue says that took the request over. So that there is time for it, the call beneath ends
///    before its deadline then: by a tenth of the time left, 5 s at most.
/// 3. [`answer`](Self::answer), [`answer_with`](Self::answer_with): the one that was designed beforehand.
/// 4. The failure, as it came. With nothing configured that is all: it fails loudly.
///
/// Each of the first three has [`Degraded`](crate::Degraded) in its extensions and its name in the header `x-towline-degraded`, and the
/// [`Call`](towline_core::Call) with its trail, if there is one above.
///
/// # When two requests are the same
///
/// If they have the same method, path, query, JSON body (blanks and the order of keys aside), version headers and credentials: callers
/// with different credentials never share an answer. A body that is no JSON object, or does not lie in memory, is like no other. Nothing is
/// kept for requests that carry results of tools, unless [`Cache::tool_results`].
///
/// # Elsewhere in the stack
///
/// It stands above the fallback, and above the timeout of the whole call, whose `DeadlineExceeded` it then answers too; beneath that, a call
/// that ran out of time is not helped. Beneath `CallLayer` it finds the request's facts and a body that can be copied; above it reads the
/// facts itself.
///
/// # Cost, cancellation
///
/// With nothing configured, nothing: each request is handed on, and readiness too. A request then costs a box, with a cache a parse of its JSON, with a queue a copy. A good answer
/// is written down while it passes: a list of its chunks, which are shared, not copied. It is then always ready, and readies the service
/// beneath in the call. Dropping the future drops the call, or the hand-over; a body that is dropped is not kept.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct DegradeLayer {
    pub(super) config: Arc<Config>,
}

#[derive(Clone, Default)]
pub(super) struct Config {
    pub(super) cache: Option<Cache>,
    pub(super) canonical: Canonical,
    pub(super) queue: Option<Arc<dyn Queue>>,
    pub(super) answer: Option<Arc<Design>>,
    /// The text of the answer, if it is one.
    pub(super) text: Option<Arc<str>>,
    pub(super) degrades: Option<Arc<Opinion>>,
}

pub(super) type Design = dyn Fn(&Facts, &Failure) -> Option<Response<Vec<Bytes>>> + Send + Sync;
pub(super) type Opinion = dyn Fn(&Failure) -> Option<bool> + Send + Sync;

impl DegradeLayer {
    /// A layer that has nothing to give: each failure is handed on.
    pub fn new() -> Self {
        Self { config: Arc::default() }
    }

    /// Gives the answer to the same request again, where there was a good one.
    pub fn cache(self, cache: Cache) -> Self {
        self.with(|config| config.cache = Some(cache))
    }

    /// Hands requests over that can wait. One whose body does not lie in memory is not handed over.
    pub fn queue(self, queue: impl Queue) -> Self {
        self.with(|config| config.queue = Some(Arc::new(queue)))
    }

    /// Gives this text, as a whole answer of the model in the caller's dialect, streamed if the caller asked for a stream (but for
    /// Bedrock's binary one, which fails loudly).
    pub fn answer(self, text: impl Into<String>) -> Self {
        let text: Arc<str> = text.into().into();
        self.with(|config| {
            config.text = Some(Arc::clone(&text));
            config.answer = Some(Arc::new(move |facts, _| answer::text(facts, &text)));
        })
    }

    /// Gives the response that `design` makes of what the request said about itself and of the failure; `None` fails loudly.
    pub fn answer_with(self, design: impl Fn(&Facts, &Failure) -> Option<Response<Bytes>> + Send + Sync + 'static) -> Self {
        let design = move |facts: &Facts, failure: &Failure| Some(design(facts, failure)?.map(|body| vec![body]));
        self.with(|config| {
            config.answer = Some(Arc::new(design));
            config.text = None;
        })
    }

    /// An opinion of your own on which failures want a substitute; `None` leaves it to the rule above.
    pub fn degrades(self, opinion: impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static) -> Self {
        self.with(|config| config.degrades = Some(Arc::new(opinion)))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Config {
    pub(super) fn is_empty(&self) -> bool {
        self.cache.is_none() && self.queue.is_none() && self.answer.is_none()
    }

    pub(super) fn degrades(&self, failure: &Failure) -> bool {
        let own = self.degrades.as_ref().and_then(|opinion| opinion(failure));
        own.unwrap_or_else(|| is_outage(failure))
    }
}

fn is_outage(failure: &Failure) -> bool {
    use FailureKind as K;
    match failure.kind {
        K::ContextLength | K::ContentPolicy | K::Auth | K::Permission | K::NotFound | K::PayloadTooLarge => false,
        K::Conflict | K::InvalidRequest | K::Untranslatable => false,
        K::DeadlineExceeded | K::BudgetExhausted => true,
        _ => failure.origin != Origin::Caller && failure.scope != Scope::Request,
    }
}

impl Default for DegradeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for DegradeLayer {
    type Service = Degrade<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Degrade::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for DegradeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DegradeLayer")
            .field("cache", &self.config.cache)
            .field("queue", &self.config.queue.is_some())
            .field("answer", &self.config.answer.is_some())
            .finish()
    }
}
