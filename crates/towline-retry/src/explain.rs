//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{InvalidConfig, say::time};

use crate::{
    RetryLayer,
    backoff::Backoff,
    policy::{PATIENCE, Policy},
};

impl RetryLayer {
    /// The most attempts at one target that has no number of its own, the first included.
    #[must_use]
    pub fn most_attempts(&self) -> u32 {
        self.shared.policy.attempts.get()
    }

    /// Whether what was set can act at all in a call that ends after `deadline`, and makes `most` attempts at a target. Defaults are
    /// never wrong.
    ///
    /// # Errors
    ///
    /// `backoff` or `throttle_backoff` if its cap is no shorter than the deadline, or no second attempt is made; `max_server_delay` if
    /// it is no shorter than the deadline.
    pub fn acts_within(&self, deadline: Option<Duration>, most: u32) -> Result<(), InvalidConfig> {
        let (policy, usual) = (&self.shared.policy, Policy::default());
        let waits = [("backoff", policy.transient, usual.transient), ("throttle_backoff", policy.throttled, usual.throttled)];
        for (field, set, usual) in waits {
            if set == usual {
                continue;
            }
            if most < 2 && policy.table.is_none() {
                return Err(InvalidConfig::new(
                    field,
                    "is set, and with one attempt nothing is waited for; say `attempts(2)` or more",
                ));
            }
            ends_before(field, "waits for as long as", set.cap, deadline)?;
        }
        if policy.max_server_delay == usual.max_server_delay {
            return Ok(());
        }
        ends_before("max_server_delay", "is", policy.max_server_delay, deadline)
    }
}

fn ends_before(field: &'static str, is: &str, wait: Duration, deadline: Option<Duration>) -> Result<(), InvalidConfig> {
    match deadline {
        Some(end) if wait >= end => {
            let why = format!("{is} {}, and a call ends after {}; say less than that", time(wait), time(end));
            Err(InvalidConfig::new(field, why))
        }
        _ => Ok(()),
    }
}

impl fmt::Display for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shared, policy) = (&self.shared, &self.shared.policy);
        match policy.attempts.get() {
            1 => f.write_str("one attempt at a target")?,
            most => write!(f, "at most {most} attempts at one target")?,
        }
        if policy.table.is_some() {
            f.write_str(", but where a table of yours says another number")?;
        }
        if !policy.may_retry(None) {
            return f.write_str(", so nothing is sent again unless the target has a number of its own");
        }
        write!(f, "\nwaits {}", policy.transient)?;
        write!(f, "\nwaits {} where the rate is limited", policy.throttled)?;
        write!(f, "\nobeys Retry-After up to {}", time(policy.max_server_delay))?;
        let patience = time(PATIENCE);
        write!(f, "\nwhere another target waits, one that limits the rate is asked twice and waited for {patience} at most")?;
        match &shared.budgets {
            Some(budgets) => write!(f, "\na budget for each target: {}", budgets.template())?,
            None => f.write_str("\nno budget")?,
        }
        match &shared.count_header {
            Some(name) => write!(f, "\ncounts retries in the header {name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "between 0 and {}, doubling to {}", time(self.base), time(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_layer_tells_its_settings() {
        assert_eq!(
            RetryLayer::new().to_string(),
            "at most 3 attempts at one target\nwaits between 0 and 500 ms, doubling to 8 s\n\
             waits between 0 and 1 s, doubling to 20 s where the rate is limited\nobeys Retry-After up to 1 min\n\
             where another target waits, one that limits the rate is asked twice and waited for 2 s at most\n\
             a budget for each target: 10 retries at first, 20 at most, 0.1 more for each success"
        );
        let once = RetryLayer::new().attempts(1).unwrap();
        assert!(once.to_string().starts_with("one attempt at a target, so nothing is sent again"));
        assert!(once.table(|_| Some(2)).without_budget().to_string().ends_with("no budget"));
    }

    #[test]
    fn a_wait_that_no_call_lasts_for_is_refused_by_name_and_a_default_is_not() {
        let layer = RetryLayer::new();
        let within = |layer: &RetryLayer, secs| {
            layer.acts_within(Some(secs * SECOND), layer.most_attempts()).map_err(|error| error.to_string())
        };
        assert_eq!(within(&layer, 1), Ok(()), "who set nothing is not told off");
        let patient = layer.clone().backoff(SECOND, 30 * SECOND).unwrap();
        assert_eq!((within(&patient, 31), patient.acts_within(None, 3)), (Ok(()), Ok(())));
        assert_eq!(
            within(&patient, 30).unwrap_err(),
            "invalid configuration: `backoff` waits for as long as 30 s, and a call ends after 30 s; say less than that"
        );
        let throttled = layer.clone().throttle_backoff(SECOND, 40 * SECOND).unwrap();
        assert!(within(&throttled, 20).unwrap_err().contains("`throttle_backoff`"));
        assert!(within(&layer.clone().max_server_delay(90 * SECOND), 80).unwrap_err().contains("`max_server_delay`"));
        let once = layer.backoff(SECOND, SECOND).unwrap().attempts(1).unwrap();
        assert!(within(&once, 60).unwrap_err().contains("nothing is waited for"));
    }
}
