//! The configuration.

use std::{fmt, sync::Arc};

use tower_layer::Layer;
use towline_core::{Failure, InvalidConfig, Observer, Target};

use crate::{rewrite::Secrets, service::Fallback, table};

/// Tries one target after the other. See the [crate's page](crate).
#[derive(Clone)]
pub struct FallbackLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) targets: Vec<Target>,
    pub(crate) secrets: Secrets,
    pub(crate) observer: Observer,
    max_targets: usize,
    moves_on: Option<Arc<Opinion>>,
}

type Opinion = dyn Fn(&Failure) -> Option<bool> + Send + Sync;

/// How many targets a call tries at most, unless told otherwise.
const MAX_TARGETS: usize = 4;

impl FallbackLayer {
    /// Tries `targets` in this order. None at all hands every request on untouched.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name: their circuits and limits would be one.
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        let targets: Vec<_> = targets.into_iter().collect();
        if let Some((_, twin)) =
            targets.iter().enumerate().find(|(at, target)| targets.iter().take(*at).any(|other| other == *target))
        {
            return Err(InvalidConfig::new("targets", format!("two targets are called {:?}", twin.name())));
        }
        let secrets = Secrets::of(&targets);
        Ok(Self {
            config: Arc::new(Config { targets, secrets, observer: Observer::none(), max_targets: MAX_TARGETS, moves_on: None }),
        })
    }

    /// Hands every request on untouched, as [`new`](Self::new) does without targets.
    #[must_use]
    pub fn none() -> Self {
        let secrets = Secrets::of(&[]);
        Self {
            config: Arc::new(Config {
                targets: Vec::new(),
                secrets,
                observer: Observer::none(),
                max_targets: MAX_TARGETS,
                moves_on: None,
            }),
        }
    }

    /// How many targets one call tries at most, the first included. Default: 4.
    ///
    /// # Errors
    ///
    /// `max_targets` if it is zero.
    pub fn max_targets(self, most: usize) -> Result<Self, InvalidConfig> {
        if most == 0 {
            return Err(InvalidConfig::new("max_targets", "must be at least 1"));
        }
        Ok(self.with(|config| config.max_targets = most))
    }

    /// An opinion of your own on which failures move on to the next target; `None` leaves it to the table of the crate's page.
    #[must_use]
    pub fn moves_on(self, opinion: impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static) -> Self {
        self.with(|config| config.moves_on = Some(Arc::new(opinion)))
    }

    /// Whom to tell when a call moves on. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|config| config.observer = observer)
    }

    /// The targets, in order.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.config.targets
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Config {
    /// Whether a call that failed at the target numbered `at` may go on to the next one.
    pub(crate) fn may_move_on(&self, at: usize, failure: &Failure) -> bool {
        let own = || self.moves_on.as_ref().and_then(|opinion| opinion(failure));
        self.has_next(at) && own().unwrap_or_else(|| table::moves_on(failure))
    }

    pub(crate) fn has_next(&self, at: usize) -> bool {
        at + 1 < self.targets.len().min(self.max_targets)
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for FallbackLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("targets", &self.config.targets)
            .field("max_targets", &self.config.max_targets)
            .finish_non_exhaustive()
    }
}
