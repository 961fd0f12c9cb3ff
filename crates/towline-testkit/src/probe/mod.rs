//! A service wrapper that watches how the layers above it keep tower's contract.

mod future;
mod report;

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

pub use future::ProbeFuture;
pub use report::{NotReady, ProbeReport, Violation};
use report::{Reservation, Shared};
use std::sync::Arc;

use crate::BoxError;

/// Wraps a service and records how it is used.
///
/// The probe keeps count of readiness for each clone by itself, and is strict where most services are lenient: a fresh clone is
/// not ready, a readiness is good for one call, and an error of `poll_ready` is the end. What breaks these rules is recorded as
/// a [`Violation`] and passed on to the inner service all the same.
///
/// With a limit it also behaves like tower's `ConcurrencyLimit`: `poll_ready` reserves one of `n` places, and the place is free
/// again when the call's future is finished or dropped, or the reserved clone is dropped without a call. A layer that holds a
/// readiness while it waits for something else then shows by blocking the others.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), towline_testkit::BoxError> {
/// use tower::{Service, ServiceExt, service_fn};
/// use towline_testkit::{Probe, Violation};
///
/// let (mut service, report) = Probe::new(service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n + 1) }));
/// assert_eq!(service.ready().await?.call(1).await?, 2);
/// report.assert_clean();
///
/// let mut clone = service.clone(); // readiness is not cloned
/// clone.call(1).await?;
/// assert_eq!(report.violations(), [Violation::CalledWithoutReadiness]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Probe<S> {
    inner: S,
    shared: Arc<Shared>,
    /// The place that was taken, perhaps before the inner service was ready.
    reservation: Option<Reservation>,
    called: bool,
    failed: bool,
}

/// Puts a [`Probe`] around each service that it is given. All of them share one report.
#[derive(Clone, Debug)]
pub struct ProbeLayer {
    shared: Arc<Shared>,
}

impl<S> Probe<S> {
    /// A probe without a limit, and its report.
    #[must_use]
    pub fn new(inner: S) -> (Self, ProbeReport) {
        let (layer, report) = ProbeLayer::new();
        (layer.layer(inner), report)
    }

    /// A probe that has room for `limit` reservations and calls at once, and its report.
    #[must_use]
    pub fn with_limit(inner: S, limit: usize) -> (Self, ProbeReport) {
        let (layer, report) = ProbeLayer::with_limit(limit);
        (layer.layer(inner), report)
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl ProbeLayer {
    /// A layer without a limit, and its report.
    #[must_use]
    pub fn new() -> (Self, ProbeReport) {
        Self::with(None)
    }

    /// A layer whose services together have room for `limit` reservations and calls at once, and its report.
    #[must_use]
    pub fn with_limit(limit: usize) -> (Self, ProbeReport) {
        Self::with(Some(limit))
    }

    fn with(limit: Option<usize>) -> (Self, ProbeReport) {
        let shared = Arc::new(Shared::new(limit));
        (Self { shared: Arc::clone(&shared) }, ProbeReport::new(shared))
    }
}

impl<S> Layer<S> for ProbeLayer {
    type Service = Probe<S>;

    fn layer(&self, inner: S) -> Probe<S> {
        Probe { inner, shared: Arc::clone(&self.shared), reservation: None, called: false, failed: false }
    }
}

/// By hand, since a clone has neither the readiness nor the past of its original.
impl<S: Clone> Clone for Probe<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared), reservation: None, called: false, failed: false }
    }
}

impl<S, Req> Service<Req> for Probe<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ProbeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.shared.ready_polls.add();
        if self.failed {
            self.shared.violation(Violation::PolledAfterError);
        }
        let reservation = match &mut self.reservation {
            Some(reservation) => reservation,
            None => match Reservation::take(&self.shared, cx) {
                Poll::Ready(Ok(reservation)) => self.reservation.insert(reservation),
                Poll::Ready(Err(error)) => {
                    self.failed = true;
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                reservation.granted = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.reservation = None;
                self.failed = true;
                Poll::Ready(Err(error.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn call(&mut self, request: Req) -> ProbeFuture<S::Future> {
        let mut reservation = self.reservation.take();
        match &mut reservation {
            Some(reservation) if reservation.granted => reservation.spend(),
            _ if self.failed => self.shared.violation(Violation::CalledAfterError),
            _ if self.called => self.shared.violation(Violation::CalledTwice),
            _ => self.shared.violation(Violation::CalledWithoutReadiness),
        }
        self.called = true;
        self.shared.calls.add();
        ProbeFuture::new(self.inner.call(request), &self.shared, reservation)
    }
}
