//! Atomics and a lock; `loom`'s, where a test asks it to try each order in which threads can meet.

#[cfg(not(towline_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(towline_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(towline_loom))]
pub(crate) use parking_lot::Mutex;

/// `loom`'s lock with the face of `parking_lot`'s.
#[cfg(towline_loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(towline_loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
