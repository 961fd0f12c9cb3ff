//! The future of a probed call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::report::{Reservation, Shared, Violation};
use crate::BoxError;

pin_project! {
    /// The response future of a [`Probe`](super::Probe).
    #[derive(Debug)]
    pub struct ProbeFuture<F> {
        #[pin]
        inner: F,
        life: Life,
    }
}

/// Counts the future as alive, and as dropped if it goes unfinished.
#[derive(Debug)]
struct Life {
    shared: Arc<Shared>,
    reservation: Option<Reservation>,
    finished: bool,
}

impl<F> ProbeFuture<F> {
    pub(super) fn new(inner: F, shared: &Arc<Shared>, reservation: Option<Reservation>) -> Self {
        shared.born();
        Self { inner, life: Life { shared: Arc::clone(shared), reservation, finished: false } }
    }
}

impl<F, R, E> Future for ProbeFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.life.shared.polls.add();
        if this.life.finished {
            this.life.shared.violation(Violation::FuturePolledAfterEnd);
        }
        let result = ready!(this.inner.poll(cx));
        this.life.finish();
        Poll::Ready(result.map_err(Into::into))
    }
}

impl Life {
    fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.reservation = None;
            self.shared.gone();
            self.shared.completed.add();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.gone();
            self.shared.dropped.add();
        }
    }
}
