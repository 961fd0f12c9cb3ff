//! Targets that bring a service of their own.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;
use towline_core::{BoxError, Error, Target};

mod future;
mod route;

pub use future::ViaFuture;
use route::Route;

/// Sends each request to the service of its target, or to the one that all others share.
///
/// A [`Target`] is data, and one client serves most of them. One that needs a client of its own (another root certificate, a proxy, a
/// signing SDK) or layers of its own is given a service here. It stands where that one client stood: as the transport beneath all
/// layers, so that the target keeps its circuit, its limit and its retries; or right beneath [`FallbackLayer`](crate::FallbackLayer), if the
/// target is to have none of them.
///
/// The services answer with one type of body. Two clients of one make do, as those of hyper with different connectors; of
/// different makes, box both (`towline::boxed`).
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt};
/// use towline_core::Target;
/// use towline_fallback::{FallbackLayer, Via};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # type Request = http::Request<Full<Bytes>>;
/// # let client = tower::service_fn(|_: Request| async {
/// #     Ok::<_, towline_core::BoxError>(http::Response::builder().status(503).body("from afar")?)
/// # });
/// # let proxied = tower::service_fn(|_: Request| async { Ok::<_, towline_core::BoxError>(http::Response::new("in the house")) });
/// let cloud = Target::new("cloud", "https://api.openai.com/v1")?;
/// let in_house = Target::new("in house", "https://llm.example.internal/v1")?;
/// let transport = Via::new(client).target(&in_house, proxied);
/// let service = FallbackLayer::new([cloud, in_house])?.layer(transport);
///
/// let request = http::Request::post("/v1/chat/completions").body(Full::<Bytes>::from("{}"))?;
/// assert_eq!(service.oneshot(request).await?.body(), &"in the house");
/// # Ok::<(), towline_core::BoxError>(()) }).unwrap();
/// ```
///
/// # Readiness
///
/// It is always ready: whichever service a request is for is readied within the call, so that none waits for another. Where one of the
/// targets' own is not ready at once, and another target waits ([`Call::has_alternative`](towline_core::Call::has_alternative)), it is passed
/// over with `LimitedLocally`: whoever limits the calls to one client wants no queue in front of it while others are idle. Where none waits, it is
/// waited for. So is the shared service in any case, as it is the same for all others.
///
/// # Errors, cancellation, cost
///
/// [`towline_core::Error`]: what came from the service, converted; `LimitedLocally` as told. Dropping the future drops what is under way.
/// A request to a service of a target's own costs an allocation for its future, and what the clone of that service costs; one to the
/// shared service only the latter.
pub struct Via<S, B, R> {
    inner: S,
    own: Arc<Routes<B, R>>,
}

/// By the name of their target.
type Routes<B, R> = HashMap<Arc<str>, Arc<dyn Route<B, R>>>;

impl<S, B, R> Via<S, B, R> {
    /// All requests go to `shared`.
    pub fn new(shared: S) -> Self {
        Self { inner: shared, own: Arc::default() }
    }

    /// Those for `target`, which is known by its name, go to `service` instead. Said again, the last one counts.
    #[must_use]
    pub fn target<T>(mut self, target: &Target, service: T) -> Self
    where
        T: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send,
        B: Send + 'static,
    {
        Arc::make_mut(&mut self.own).insert(Arc::clone(target.key()), Arc::new(service));
        self
    }

    /// The service that all others share.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that all others share.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that all others share.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Via<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = Error;
    type Future = ViaFuture<S, B, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match Target::of(request.extensions()).and_then(|target| self.own.get(target.key())) {
            Some(own) => ViaFuture::own(own.send(request)),
            None => ViaFuture::shared(self.inner.clone(), request),
        }
    }
}

impl<S: Clone, B, R> Clone for Via<S, B, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), own: Arc::clone(&self.own) }
    }
}

impl<S: fmt::Debug, B, R> fmt::Debug for Via<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via").field("inner", &self.inner).field("own", &self.own.keys().collect::<Vec<_>>()).finish()
    }
}
