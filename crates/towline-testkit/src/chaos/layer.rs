//! The configuration.

use std::sync::Arc;

use tower_layer::Layer;

use super::{
    Chaos,
    handle::{ChaosHandle, State},
    injection::Injection,
};

/// Injects failures, waits and broken bodies, for testing the stack above it.
///
/// It stands beneath the stack and above the transport, in your own CI or behind a switch in a staging environment:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towline_testkit::BoxError> {
/// # use bytes::Bytes;
/// # use http::{Request, Response, StatusCode};
/// # use http_body_util::Full;
/// # let transport = tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from("{}"))) });
/// use tower::{Service, ServiceBuilder, ServiceExt};
/// use towline_core::FailureKind;
/// use towline_testkit::{ChaosLayer, Dialect, Injection, ProviderError};
///
/// let chaos = ChaosLayer::seeded(7)
///     .inject(Injection::error(Dialect::OpenAiChat, ProviderError::Overloaded).probability(0.2)?)
///     .inject(Injection::fail(FailureKind::Transport).probability(0.1)?);
/// let handle = chaos.handle();
/// let mut client = ServiceBuilder::new().layer(chaos).service(transport); // your stack goes above
///
/// let (mut refused, mut lost) = (0, 0);
/// for _ in 0..100 {
///     match client.ready().await?.call(Request::new(Full::default())).await {
///         Ok(answer) => refused += u64::from(answer.status() == StatusCode::SERVICE_UNAVAILABLE),
///         Err(error) => lost += u64::from(error.kind() == FailureKind::Transport),
///     }
/// }
/// let counts = handle.counts();
/// assert_eq!((counts.requests, counts.answered, counts.failed), (100, refused, lost));
/// assert!(refused > 5 && lost > 2);
///
/// handle.clear(); // the provider recovers
/// assert_eq!(client.ready().await?.call(Request::new(Full::default())).await?.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
///
/// - **Off by default.** Without an injection every request is passed through, at the price of one atomic load and no allocation.
/// - **Deterministic.** The same seed and the same injections, in the order in which they were given, meet the same requests: the nth
///   that an injection is for. Where requests run side by side, that is the order in which they come to this layer.
/// - **Independent.** Every injection sees every request that it is for, and draws its own lots. Of several answers to one
///   request the first injection's counts, of several faults of one body too; waits add up.
/// - **Before the transport.** What is answered or failed here was never sent. A wait comes before the request is passed on, so one
///   that is dropped meanwhile was not sent either.
///
/// Readiness is the transport's, and the service that was readied is the one that is called; where none is, its readiness is left
/// for the next call. The error is [`towline_core::Error`]: ours, or what came from beneath. Clones of a layer, and the services that it makes, share all.
#[derive(Clone, Debug)]
pub struct ChaosLayer {
    state: Arc<State>,
}

impl ChaosLayer {
    /// A layer that injects nothing yet. Its chance begins at the same seed each time.
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// A layer that injects nothing yet, whose chance begins at this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: Arc::new(State::new(seed)) }
    }

    /// Does this as well. It holds for all clones.
    #[must_use]
    pub fn inject(self, injection: Injection) -> Self {
        self.state.add(injection);
        self
    }

    /// What was injected so far, and the switch for more.
    #[must_use]
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle(Arc::clone(&self.state))
    }
}

impl Default for ChaosLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ChaosLayer {
    type Service = Chaos<S>;

    fn layer(&self, inner: S) -> Chaos<S> {
        Chaos::new(inner, Arc::clone(&self.state))
    }
}
