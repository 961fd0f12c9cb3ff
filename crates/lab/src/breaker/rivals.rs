//! Whose breakers are compared, and how they are made.

use std::{fmt, time::Duration};

use http::{Request, Response};
use tower::{Layer, Service};
use tower_resilience::circuitbreaker::{CircuitBreakerLayer as Theirs, SlidingWindowType};
use towline::CircuitBreakerLayer;

use crate::{
    BoxError,
    breaker::{
        call::{Answers, Asked, calls},
        tasks::{self, Tasks},
    },
};

/// So long that no call leaves the window while it is measured.
const WINDOW: Duration = Duration::from_secs(3600);

/// A breaker, or none, over the smallest service.
pub struct Rival {
    name: &'static str,
    run: Box<Run>,
    tasks: Box<Tasks>,
}

type Run = dyn Fn(u64) -> Result<(), BoxError>;

impl Rival {
    /// The name of the calls without a breaker.
    pub const BARE: &'static str = "bare";

    /// The name of our breaker.
    pub const OURS: &'static str = "towline";

    /// The name of tower-resilience's breaker as it is unless told otherwise.
    pub const THEIRS: &'static str = "tower-resilience, by count";

    /// The name of their breaker whose window is a time, as ours is.
    pub const BY_TIME: &'static str = "tower-resilience, by time";

    /// All whose names these are.
    pub const ALL: [&'static str; 4] = [Self::BARE, Self::OURS, Self::THEIRS, Self::BY_TIME];

    /// How many calls are in the window when the others are counted.
    pub const WINDOWS: [u64; 3] = [1, 1_000, 100_000];

    /// Whether to make so many calls would take minutes: each call looks at all those before it.
    #[must_use]
    pub fn is_endless(name: &str, window: u64) -> bool {
        name == Self::BY_TIME && window > 1_000
    }

    /// The one of this name, whose circuit opens when half of the last `window` calls have failed, or half of those within an hour.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn new(name: &str, window: u64) -> Result<Self, BoxError> {
        let theirs = || Theirs::builder().failure_rate_threshold(0.5);
        Ok(match name {
            Self::BARE => Self::over(Self::BARE, Answers),
            Self::OURS => Self::over(Self::OURS, CircuitBreakerLayer::new().failure_ratio(0.5, WINDOW, 10)?.layer(Answers)),
            Self::THEIRS => {
                let size = usize::try_from(window)?;
                Self::over(Self::THEIRS, theirs().sliding_window_size(size).build()?.layer(Answers))
            }
            Self::BY_TIME => {
                let theirs = theirs().sliding_window_type(SlidingWindowType::TimeBased).sliding_window_duration(WINDOW);
                Self::over(Self::BY_TIME, theirs.build()?.layer(Answers))
            }
            _ => return Err("there is no breaker of this name".into()),
        })
    }

    fn over<S, B>(name: &'static str, service: S) -> Self
    where
        S: Service<Request<Asked>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let one = service.clone();
        let run = move |n| tasks::alone()?.block_on(calls(&mut one.clone(), n));
        Self { name, run: Box::new(run), tasks: tasks::over(service) }
    }

    /// Whose it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Makes `n` calls on this thread, one after the other.
    ///
    /// # Errors
    ///
    /// What was answered instead of the whole answer.
    pub fn run(&self, n: u64) -> Result<(), BoxError> {
        (self.run)(n)
    }

    /// Has `tasks` tasks make `n` calls each at the same time on as many worker threads, and says how long that took, from the first one's
    /// beginning to the last one's end.
    ///
    /// # Errors
    ///
    /// What was answered instead of the whole answer.
    pub fn tasks(&self, tasks: usize, n: u64) -> Result<Duration, BoxError> {
        (self.tasks)(tasks, n)
    }
}

impl fmt::Debug for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rival").field("name", &self.name).finish_non_exhaustive()
    }
}
