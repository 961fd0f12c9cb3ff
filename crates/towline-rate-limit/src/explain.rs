//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{InvalidConfig, say::time};

use crate::{
    Dimension, Limits, RateLimitLayer,
    limits::DIMENSIONS,
    shared::{Own, Settings, Shared},
};

impl RateLimitLayer {
    /// Whether the limits of single targets are for targets that there are, by name.
    ///
    /// # Errors
    ///
    /// `limits_for`, `burst_for`, `share_for`, `max_wait_for` or `profile_for` if there is no target of a name that has its own.
    pub fn acts_for(&self, targets: &[&str]) -> Result<(), InvalidConfig> {
        let Some(settings) = self.settings().filter(|settings| settings.key.is_none()) else { return Ok(()) };
        match settings.own.iter().find(|(name, _)| !targets.contains(&&***name)) {
            Some((name, own)) => {
                Err(InvalidConfig::new(own.field(), format!("names {name:?}, and there is no target called so")))
            }
            None => Ok(()),
        }
    }

    /// How many requests to a target pass at most within so long, as far as the requests a minute limit it; `None` where they do not.
    #[must_use]
    pub fn passes(&self, target: &str, within: Duration) -> Option<u64> {
        let settings = self.settings()?;
        if settings.terms.find || settings.key.is_some() {
            return None;
        }
        let own = settings.own(target);
        let limit = own.limits.unwrap_or(settings.terms.limits).get(Dimension::Requests)?;
        let steady = u128::from(limit).saturating_mul(within.as_millis()) / 60_000;
        let burst = own.burst.or(settings.terms.burst).unwrap_or_else(|| limit.div_ceil(60));
        Some(u64::try_from(steady).unwrap_or(u64::MAX).saturating_add(burst))
    }

    fn settings(&self) -> Option<&Settings> {
        self.shared.as_deref().map(Shared::settings)
    }
}

impl Own {
    /// The method that said some of it.
    const fn field(&self) -> &'static str {
        match self {
            Self { limits: Some(_), .. } => "limits_for",
            Self { burst: Some(_), .. } => "burst_for",
            Self { share: Some(_), .. } => "share_for",
            Self { max_wait: Some(_), .. } => "max_wait_for",
            _ => "profile_for",
        }
    }

    fn lines(&self) -> [Option<String>; 5] {
        [
            self.limits.map(|limits| limits.to_string()),
            self.burst.map(|n| format!("at most {n} requests at once after a pause")),
            self.share.map(|share| format!("{} % of its limits", percent(share))),
            self.max_wait.map(|wait| format!("in line for at most {}", time(wait))),
            self.profile.map(|profile| format!("tokens counted as by {profile:?}")),
        ]
    }
}

impl fmt::Display for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(settings) = self.settings() else { return f.write_str("no limit") };
        let (terms, bounds) = (&settings.terms, &settings.bounds);
        let whose = if settings.key.is_some() { "each key of yours" } else { "each target" };
        writeln!(f, "{whose}: {}{}", terms.limits, if terms.find { ", to begin with" } else { "" })?;
        settings
            .own
            .iter()
            .try_for_each(|(name, own)| own.lines().into_iter().flatten().try_for_each(|line| writeln!(f, "{name:?}: {line}")))?;
        write!(f, "{} % of that", percent(terms.thousandths))?;
        if let Some(burst) = terms.burst {
            write!(f, "; at most {burst} requests at once after a pause")?;
        }
        if let Some(tokens) = terms.token_burst {
            write!(f, "; at most {tokens} tokens at once after a pause")?;
        }
        writeln!(f, "; tokens counted as by {:?}", terms.profile)?;
        match (bounds.queue, bounds.max_wait) {
            (0, _) | (_, Duration::ZERO) => f.write_str("nobody waits in line"),
            (queue, wait) => write!(f, "in line for at most {}, {queue} at once", time(wait)),
        }
    }
}

fn percent(thousandths: u32) -> f64 {
    f64::from(thousandths) / 10.0
}

/// `600 requests a minute, 30000 tokens a minute`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = DIMENSIONS.iter().filter_map(|dimension| Some(format!("{} {dimension}", self.get(*dimension)?)));
        let said: Vec<_> = said.collect();
        if said.is_empty() { f.write_str("no limit") } else { f.write_str(&said.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;
    use crate::Profile;

    fn rate(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn a_layer_tells_its_limits() {
        assert_eq!(RateLimitLayer::unlimited().to_string(), "no limit");
        let limits = Limits::none().requests_per_minute(rate(600)).tokens_per_minute(NonZeroU64::new(30_000).unwrap());
        let layer = RateLimitLayer::new(limits).burst(rate(4)).limits_for("b", Limits::none().concurrency(rate(3)));
        let layer = layer.burst_for("a", rate(2)).profile_for("b", Profile::Azure);
        let layer = layer.share_for("b", 0.5).unwrap().max_wait_for("b", Duration::from_secs(300));
        assert_eq!(
            layer.to_string(),
            "each target: 600 requests a minute, 30000 tokens a minute\n\
             \"a\": at most 2 requests at once after a pause\n\"b\": 3 requests at once\n\"b\": 50 % of its limits\n\"b\": in line for at most 5 min\n\"b\": tokens counted as by Azure\n\
             95 % of that; at most 4 requests at once after a pause; tokens counted as by Any\nin line for at most 30 s, 1000 at once"
        );
        let strict = RateLimitLayer::find_requests_per_minute(rate(9)).max_wait(Duration::ZERO).to_string();
        assert!(
            strict.starts_with("each target: 9 requests a minute, to begin with\n") && strict.ends_with("nobody waits in line")
        );
    }

    #[test]
    fn limits_for_a_target_that_there_is_not_are_refused() {
        let targets = ["a", "b"];
        let layer = |name: &str| RateLimitLayer::requests_per_minute(rate(1)).limits_for(name, Limits::none());
        assert_eq!((layer("b").acts_for(&targets), RateLimitLayer::unlimited().acts_for(&[])), (Ok(()), Ok(())));
        let error = layer("c").acts_for(&targets).unwrap_err();
        assert_eq!(error.to_string(), "invalid configuration: `limits_for` names \"c\", and there is no target called so");
        assert_eq!(layer("b").burst_for("c", rate(1)).acts_for(&targets).unwrap_err().field(), "burst_for");
        assert_eq!(layer("b").profile_for("c", Profile::Any).acts_for(&targets).unwrap_err().field(), "profile_for");
        assert_eq!(layer("b").share_for("c", 0.9).unwrap().acts_for(&targets).unwrap_err().field(), "share_for");
        assert_eq!(layer("b").max_wait_for("c", Duration::ZERO).acts_for(&targets).unwrap_err().field(), "max_wait_for");
        assert_eq!(layer("c").key(|_| None).acts_for(&targets), Ok(()), "a key of the user's own may be anything");
    }

    #[test]
    fn a_rate_and_its_burst_pass_within_a_time() {
        let layer = RateLimitLayer::requests_per_minute(rate(60)).limits_for("b", Limits::none());
        let passes = |name| layer.passes(name, Duration::from_secs(30));
        assert_eq!((passes("a"), passes("b")), (Some(31), None));
        assert_eq!(RateLimitLayer::find_requests_per_minute(rate(60)).passes("a", Duration::ZERO), None, "it may grow");
    }
}
