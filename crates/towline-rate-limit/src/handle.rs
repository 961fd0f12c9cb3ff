//! Looking at limits from outside.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Dimension, Limits, books::Books, shared::Shared};

/// Tells what the limits of a [`RateLimitLayer`](crate::RateLimitLayer) have left, and changes them. Cheap to clone.
///
/// `target` is a target's name, or the user's key; `None` means the limits that all requests without one share. What was never
/// heard of, or not for so long that it has been forgotten, has everything left. An unlimited layer has no limits.
#[derive(Clone, Debug)]
pub struct RateLimitHandle {
    shared: Option<Arc<Shared>>,
}

impl RateLimitHandle {
    pub(crate) const fn new(shared: Option<Arc<Shared>>) -> Self {
        Self { shared }
    }

    /// How many requests could pass at once, so far as requests are counted; none while somebody waits. `u32::MAX` where they are
    /// not limited.
    #[must_use]
    pub fn available(&self, target: Option<&str>) -> u32 {
        let counted = [Dimension::Requests, Dimension::RequestsPerDay, Dimension::Concurrency];
        let left = |books: &mut Books, now| {
            let most = counted.iter().filter_map(|dimension| books.left(now, *dimension)).min();
            if books.line().waiting == 0 { most } else { Some(0) }
        };
        self.read(target, left).flatten().map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// What is left in a dimension; `None` where it is not limited. What is owed counts as nothing left.
    #[must_use]
    pub fn left(&self, target: Option<&str>, dimension: Dimension) -> Option<u64> {
        self.read(target, |books, now| books.left(now, dimension)).flatten()
    }

    /// How long the gate stays closed after a 429; zero while it is open.
    #[must_use]
    pub fn closed_for(&self, target: Option<&str>) -> Duration {
        self.read(target, |books, now| books.closed_for(now)).unwrap_or_default()
    }

    /// The limits that are kept.
    #[must_use]
    pub fn limits(&self, target: Option<&str>) -> Limits {
        self.read(target, |books, _| books.terms().limits).unwrap_or_default()
    }

    /// How many wait for their turn.
    #[must_use]
    pub fn waiting(&self, target: Option<&str>) -> usize {
        self.read(target, |books, _| books.line().waiting).unwrap_or_default()
    }

    /// How many are under way, until their answers have ended. Counted only where that matters: where tokens or concurrency are
    /// limited.
    #[must_use]
    pub fn under_way(&self, target: Option<&str>) -> u64 {
        self.read(target, |books, _| books.under_way()).unwrap_or_default()
    }

    /// Keeps these limits from now on. What was charged stays charged; whoever waits goes by the new ones; who came too late for
    /// the old ones does not come back. An unlimited layer stays so.
    pub fn set_limits(&self, target: Option<&str>, limits: Limits) {
        if let Some(shared) = &self.shared {
            shared.change(target, limits, Instant::now());
        }
    }

    fn read<T>(&self, target: Option<&str>, read: impl FnOnce(&mut Books, Instant) -> T) -> Option<T> {
        let (shared, now) = (self.shared.as_ref()?, Instant::now());
        let unknown = || Books::new(target.map_or(shared.settings().terms, |name| shared.terms_of(name)), now);
        Some(match shared.limiter(target) {
            Some(limiter) => read(&mut limiter.books(), now),
            None => read(&mut unknown(), now),
        })
    }
}
