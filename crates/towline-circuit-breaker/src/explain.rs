//! What a layer was told, for those who check or print it.

use std::{fmt, num::NonZeroU32, time::Duration};

use towline_core::{InvalidConfig, say::time};

use crate::{
    CircuitBreakerLayer,
    policy::Policy,
    rules::{ALL, Rules},
    span::Ratio,
};

impl CircuitBreakerLayer {
    /// Whether what was set can act at all for calls to targets of these names, of which so many pass within a time as `passes` says; `None`
    /// is any number. Defaults are never wrong.
    ///
    /// # Errors
    ///
    /// `settings_for` if there is no target of a name that has its own; `failures_in`, `failure_ratio` or `slow_ratio` if fewer requests
    /// pass within its window than it asks for.
    pub fn acts_for(&self, targets: &[&str], passes: impl Fn(&str, Duration) -> Option<u64>) -> Result<(), InvalidConfig> {
        let settings = &self.breaker.settings;
        if settings.key.is_some() {
            return Ok(());
        }
        if let Some(unknown) = settings.own.keys().find(|key| !targets.contains(&&***key)) {
            return Err(InvalidConfig::new("settings_for", format!("names {unknown:?}, and there is no target called so")));
        }
        // The rules for all are idle only where they are for each.
        let (own, others): (Vec<&str>, Vec<&str>) = targets.iter().partition(|target| settings.own.contains_key(**target));
        let others = if targets.is_empty() { vec![""] } else { others };
        let most = |time| others.iter().map(|target| passes(target, time)).collect::<Option<Vec<_>>>()?.into_iter().max();
        settings.policy.rules.can_be_met(most)?;
        own.into_iter().try_for_each(|target| match settings.own.get(target) {
            Some(policy) => policy.rules.can_be_met(|time| passes(target, time)),
            None => Ok(()),
        })
    }
}

impl Rules {
    fn can_be_met(&self, passes: impl Fn(Duration) -> Option<u64>) -> Result<(), InvalidConfig> {
        let of = |field, ratio: Ratio| (field, ratio.samples, ratio.span.length());
        let usual = Self::default().failures.map(|ratio| of("failure_ratio", ratio));
        let rules = [
            self.window.map(|(n, span)| ("failures_in", n, span.length())),
            self.failures.map(|ratio| of("failure_ratio", ratio)).filter(|rule| Some(*rule) != usual),
            self.slow.map(|(_, ratio)| of("slow_ratio", ratio)),
        ];
        rules.into_iter().flatten().try_for_each(|(field, n, window)| match passes(window) {
            Some(most) if most < u64::from(n.get()) => {
                let why = format!("asks for {n} requests within {}, and the rate limit lets {most} pass", time(window));
                Err(InvalidConfig::new(field, format!("{why}; ask for fewer, or within a longer time")))
            }
            _ => Ok(()),
        })
    }
}

impl fmt::Display for CircuitBreakerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.breaker.settings;
        let whose = if settings.key.is_some() { "a circuit for each key of yours" } else { "a circuit for each target" };
        write!(f, "{whose}\n{}", settings.policy)?;
        let mut own: Vec<_> = settings.own.iter().collect();
        own.sort_by_key(|(key, _)| *key);
        own.into_iter().try_for_each(|(key, policy)| write!(f, "\n{key:?}: {}", policy.to_string().replace('\n', "; ")))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.fmt(f)?;
        if let Some(age) = self.drops_after {
            write!(f, "\nwho is dropped after {} has timed out", time(age))?;
        }
        if self.counts.is_some() { f.write_str("\nwhat counts as a failure is for a closure of yours to say") } else { Ok(()) }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share =
            |ratio: &Ratio| format!("{} % of {} or more", f64::from(ratio.millionths) * 100.0 / f64::from(ALL), ratio.samples);
        let within = |ratio: &Ratio| time(ratio.span.length());
        if let Some(n) = self.consecutive {
            writeln!(f, "opens after {n} failures in a row")?;
        }
        if let Some((n, span)) = &self.window {
            writeln!(f, "opens after {n} failures within {}", time(span.length()))?;
        }
        if let Some(ratio) = &self.failures {
            writeln!(f, "opens when {} have failed within {}", share(ratio), within(ratio))?;
        }
        if let Some((limit, ratio)) = &self.slow {
            writeln!(
                f,
                "opens when the first content of {} took longer than {} within {}",
                share(ratio),
                time(*limit),
                within(ratio)
            )?;
        }
        let (first, longest) = self.open;
        writeln!(
            f,
            "stays open for {}, twice as long each further time, up to {}; up to half on top",
            time(first),
            time(longest)
        )?;
        let s = |n: NonZeroU32| if n.get() == 1 { "" } else { "s" };
        let (probes, good) = (self.probes, self.successes);
        write!(
            f,
            "then {probes} probe{} at a time, each for {}; {good} good one{} close it",
            s(probes),
            time(self.probe_deadline),
            s(good)
        )?;
        match self.ramp {
            Some(ramp) => write!(f, "\nonce closed, from 10 % of the requests to all of them in {}", time(ramp)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    const TARGETS: [&str; 2] = ["a", "b"];

    #[test]
    fn a_layer_tells_its_rules_and_those_of_single_targets() {
        let own = CircuitBreakerLayer::new().failures_in(7, MINUTE).unwrap().without_failure_ratio().unwrap();
        let second = Duration::from_secs(1);
        let own = own.open_for(second, MINUTE).unwrap();
        let layer = CircuitBreakerLayer::new().ramp(MINUTE).unwrap().open_for(second, MINUTE).unwrap().settings_for("b", own);
        let told = layer.slow_ratio(3 * second, 0.25, second, 20).unwrap().to_string();
        assert_eq!(
            told,
            "a circuit for each target\nopens after 5 failures in a row\nopens when 50 % of 10 or more have failed within 1 min\n\
             opens when the first content of 25 % of 20 or more took longer than 3 s within 1 s\n\
             stays open for 1 s, twice as long each further time, up to 1 min; up to half on top\n\
             then 1 probe at a time, each for 1 min; 2 good ones close it\nonce closed, from 10 % of the requests to all of them in 1 min\n\
             \"b\": opens after 5 failures in a row; opens after 7 failures within 1 min; \
             stays open for 1 s, twice as long each further time, up to 1 min; up to half on top; \
             then 1 probe at a time, each for 1 min; 2 good ones close it"
        );
    }

    #[test]
    fn a_rule_that_no_number_of_requests_can_meet_is_refused_by_name() {
        let new = CircuitBreakerLayer::new;
        let five = |layer: CircuitBreakerLayer| layer.acts_for(&TARGETS, |_, _| Some(5)).map_err(|error| error.to_string());
        assert_eq!(five(new()), Ok(()), "a default is nobody's wish");
        assert_eq!(five(new().failures_in(5, MINUTE).unwrap()), Ok(()));
        assert_eq!(
            five(new().failures_in(6, MINUTE).unwrap()).unwrap_err(),
            "invalid configuration: `failures_in` asks for 6 requests within 1 min, and the rate limit lets 5 pass; \
             ask for fewer, or within a longer time"
        );
        assert!(five(new().failure_ratio(0.5, MINUTE, 20).unwrap()).unwrap_err().contains("`failure_ratio`"));
        assert!(five(new().slow_ratio(MINUTE, 0.5, MINUTE, 20).unwrap()).unwrap_err().contains("`slow_ratio`"));
        assert!(new().failures_in(6, MINUTE).unwrap().acts_for(&[], |_, _| Some(5)).is_err(), "without targets too");
        let one_can = new().failures_in(6, MINUTE).unwrap().acts_for(&TARGETS, |name, _| (name == "a").then_some(5));
        assert_eq!(one_can, Ok(()));
        let own = new().settings_for("a", new().failures_in(6, MINUTE).unwrap());
        assert!(five(own).is_err());
    }

    #[test]
    fn settings_for_a_target_that_there_is_not_are_refused() {
        let layer = CircuitBreakerLayer::new().settings_for("c", CircuitBreakerLayer::new());
        let error = layer.acts_for(&TARGETS, |_, _| None).unwrap_err();
        assert_eq!(error.to_string(), "invalid configuration: `settings_for` names \"c\", and there is no target called so");
        assert_eq!(layer.key(|_| None).acts_for(&TARGETS, |_, _| None), Ok(()), "a key of the user's own may be anything");
    }
}
