//! Two limiters as they are usually found: they charge what is expected, and never hear what was used.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

/// The clock that the tests move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(Instant);

pub(crate) type TokenBucket = RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>;

/// How many have passed in the current minute of our own clock.
#[derive(Debug)]
pub(crate) struct FixedWindow {
    most: u32,
    began: Instant,
    left: u32,
    nth: u64,
}

/// One limit of a kind, and a line before it.
#[derive(Clone, Debug)]
pub(crate) enum Rival {
    FixedWindow(Arc<Mutex<FixedWindow>>),
    /// `governor`'s.
    TokenBucket(Arc<Mutex<TokenBucket>>),
}

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rival {
    /// Counts `most` in each minute anew; its minutes begin 17 s before those of the provider.
    pub(crate) fn fixed_window(most: u32) -> Self {
        let window = FixedWindow { most, began: Instant::now() - Duration::from_secs(17), left: most, nth: 0 };
        Self::FixedWindow(Arc::new(Mutex::new(window)))
    }

    /// `most` a minute, and as many at once, as its documentation begins.
    pub(crate) fn token_bucket(most: NonZeroU32) -> Self {
        let bucket = RateLimiter::direct_with_clock(Quota::per_minute(most), Since(Instant::now()));
        Self::TokenBucket(Arc::new(Mutex::new(bucket)))
    }

    /// Waits in line until `n` may pass.
    pub(crate) async fn pass(&self, n: NonZeroU32) {
        match self {
            Self::FixedWindow(window) => {
                let mut window = window.lock().await;
                while let Some(wait) = window.take(n.get(), Instant::now()) {
                    sleep(wait).await;
                }
            }
            Self::TokenBucket(bucket) => {
                let bucket = bucket.lock().await;
                while let Ok(Err(refused)) = bucket.check_n(n) {
                    sleep(refused.wait_time_from(bucket.clock().now())).await;
                }
            }
        }
    }
}

impl FixedWindow {
    fn take(&mut self, n: u32, now: Instant) -> Option<Duration> {
        let time = now - self.began;
        let nth = time.as_secs() / 60;
        if nth > self.nth {
            (self.nth, self.left) = (nth, self.most);
        }
        if self.left < n {
            return Some(Duration::from_secs(60 * (nth + 1)) - time);
        }
        self.left -= n;
        None
    }
}
