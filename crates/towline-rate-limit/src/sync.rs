//! The lock, the turnstile and the bell of a limiter; where a test asks `loom` to try each order in which threads can meet, ones
//! that it knows of.

#[cfg(not(towline_loom))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(towline_loom))]
pub(crate) use tokio::sync::{Notify, Semaphore, SemaphorePermit as Permit};

#[cfg(towline_loom)]
pub(crate) use self::known::{Mutex, MutexGuard, Notify, Permit, Semaphore};

/// `loom`'s lock with the face of `parking_lot`'s; and tokio's own semaphore and bell, which are taken at their word: each thing
/// that is done to one of them is one step, before which `loom` may have another thread go first.
#[cfg(towline_loom)]
mod known {
    use std::{
        future::poll_fn,
        pin::pin,
        sync::PoisonError,
        task::{Context, Poll},
    };

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::{AcquireError, SemaphorePermit};

    pub(crate) use loom::sync::MutexGuard;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    #[derive(Debug)]
    pub(crate) struct Notify {
        bell: tokio::sync::Notify,
        steps: Steps,
    }

    #[derive(Debug)]
    pub(crate) struct Semaphore {
        gate: tokio::sync::Semaphore,
        steps: Steps,
    }

    #[derive(Debug)]
    pub(crate) struct Permit<'a> {
        // Before what it frees, as fields are dropped in order.
        _step: LastStep<'a>,
        _permit: SemaphorePermit<'a>,
    }

    /// What `loom` sees of a thing: that something is done to it.
    #[derive(Debug)]
    struct Steps(AtomicUsize);

    /// One more step, when it is dropped.
    #[derive(Debug)]
    struct LastStep<'a>(&'a Steps);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            Self { bell: tokio::sync::Notify::new(), steps: Steps::new() }
        }

        pub(crate) fn notify_one(&self) {
            self.steps.step();
            self.bell.notify_one();
        }

        pub(crate) fn notify_waiters(&self) {
            self.steps.step();
            self.bell.notify_waiters();
        }

        pub(crate) async fn notified(&self) {
            self.steps.each(self.bell.notified()).await;
        }
    }

    impl Semaphore {
        pub(crate) fn new(permits: usize) -> Self {
            Self { gate: tokio::sync::Semaphore::new(permits), steps: Steps::new() }
        }

        pub(crate) async fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
            let permit = self.steps.each(self.gate.acquire()).await?;
            Ok(Permit { _step: LastStep(&self.steps), _permit: permit })
        }
    }

    impl Steps {
        fn new() -> Self {
            Self(AtomicUsize::new(0))
        }

        fn step(&self) {
            // What a failed test leaves behind is dropped when there is no order any more.
            if !std::thread::panicking() {
                self.0.fetch_add(1, Ordering::AcqRel);
            }
        }

        /// A step before each poll of `future`, and one before it is dropped.
        async fn each<F: Future>(&self, future: F) -> F::Output {
            let mut future = pin!(future);
            let _dropped_first = LastStep(self);
            poll_fn(|cx: &mut Context<'_>| -> Poll<F::Output> {
                self.step();
                future.as_mut().poll(cx)
            })
            .await
        }
    }

    impl Drop for LastStep<'_> {
        fn drop(&mut self) {
            self.0.step();
        }
    }
}
