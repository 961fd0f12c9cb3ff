//! What holds for one target in the place of what its layers were told for all.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{InvalidConfig, Phase, Price, Target};

#[derive(Clone, Default)]
pub(super) struct Settings {
    attempts: Option<NonZeroU32>,
    timeouts: Vec<(Phase, Duration)>,
    price: Option<Price>,
    parameters: Option<Arc<str>>,
    system_prompt: Option<Arc<str>>,
}

impl Target {
    /// The same target with the most attempts of a call at it, the first one included, in the place of what `RetryLayer` was told
    /// for all. 1 means no retry. Default: the layer's.
    #[must_use]
    pub fn with_attempts(self, most: NonZeroU32) -> Self {
        self.with(|t| t.settings.attempts = Some(most))
    }

    /// The same target with a time limit of its own, in the place of the one that the `TimeoutLayer` of each attempt was told for
    /// all (one above the fallback sees no target, and keeps its own). Default: the layer's.
    ///
    /// As in that layer, the limit of [`Phase::Head`] counts for the first content of streams too unless [`Phase::FirstContent`] is set, and
    /// that of [`Phase::Total`] for streams and documents alike.
    ///
    /// # Errors
    ///
    /// `timeout` if `limit` is zero, or `phase` is none of `Head`, `FirstContent`, `Idle`, `ContentIdle` and `Total`.
    pub fn with_timeout(self, phase: Phase, limit: Duration) -> Result<Self, InvalidConfig> {
        use Phase as P;
        if !matches!(phase, P::Head | P::FirstContent | P::Idle | P::ContentIdle | P::Total) {
            return Err(InvalidConfig::new("timeout", format!("of phase {:?} is not for a target to say", phase.name())));
        }
        if limit.is_zero() {
            return Err(InvalidConfig::new("timeout", format!("of phase {:?} must be longer than zero", phase.name())));
        }
        Ok(self.with(|t| {
            t.settings.timeouts.retain(|(known, _)| *known != phase);
            t.settings.timeouts.push((phase, limit));
        }))
    }

    /// The same target with what it charges. Default: not known.
    #[must_use]
    pub fn with_price(self, price: Price) -> Self {
        self.with(|t| t.settings.price = Some(price))
    }

    /// The same target with parameters of its own: a JSON object, merged into the body of each request to it as RFC 7396 has it (objects
    /// member by member, `null` removes, anything else replaces). It is read when a fallback is given the target. Default: none.
    #[must_use]
    pub fn with_parameters(self, json: impl AsRef<str>) -> Self {
        self.with(|t| t.settings.parameters = Some(json.as_ref().into()))
    }

    /// The same target with a system prompt of its own, in the place of the caller's, or where the caller has none. Default: the
    /// caller's.
    #[must_use]
    pub fn with_system_prompt(self, text: impl AsRef<str>) -> Self {
        self.with(|t| t.settings.system_prompt = Some(text.as_ref().into()))
    }

    /// The most attempts of a call at it, if it has a number of its own.
    #[must_use]
    pub fn attempts(&self) -> Option<NonZeroU32> {
        self.0.settings.attempts
    }

    /// Its own time limit for this phase, if it was told one.
    #[must_use]
    pub fn timeout(&self, phase: Phase) -> Option<Duration> {
        self.0.settings.timeouts.iter().find(|(known, _)| *known == phase).map(|(_, limit)| *limit)
    }

    /// What it charges, if that is known.
    #[must_use]
    pub fn price(&self) -> Option<Price> {
        self.0.settings.price
    }

    /// Its parameters, JSON as they were given, if it has any.
    #[must_use]
    pub fn parameters(&self) -> Option<&str> {
        self.0.settings.parameters.as_deref()
    }

    /// Its system prompt, if it has one.
    #[must_use]
    pub fn system_prompt(&self) -> Option<&str> {
        self.0.settings.system_prompt.as_deref()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What goes into bodies is not shown: it may hold what is nobody else's business.
        f.debug_struct("Settings")
            .field("attempts", &self.attempts)
            .field("timeouts", &self.timeouts)
            .field("price", &self.price)
            .field("parameters", &self.parameters.is_some())
            .field("system_prompt", &self.system_prompt.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nobody_could_keep_is_refused() -> Result<(), InvalidConfig> {
        let second = Duration::from_secs(1);
        let target = Target::new("t", "http://host")?;
        for (phase, limit) in
            [(Phase::Head, Duration::ZERO), (Phase::Connect, second), (Phase::Throughput, second), (Phase::Upstream, second)]
        {
            assert_eq!(target.clone().with_timeout(phase, limit).map_err(|e| e.field()), Err("timeout"), "{phase:?}");
        }
        Ok(())
    }

    #[test]
    fn the_last_word_on_a_phase_counts_and_says_nothing_of_the_others() -> Result<(), InvalidConfig> {
        let secs = Duration::from_secs;
        let target = Target::new("t", "http://host")?;
        let target = target.with_timeout(Phase::Idle, secs(1))?.with_timeout(Phase::Idle, secs(2))?;
        assert_eq!((target.timeout(Phase::Idle), target.timeout(Phase::Head)), (Some(secs(2)), None));
        Ok(())
    }
}
