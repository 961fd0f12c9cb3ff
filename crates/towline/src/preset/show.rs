//! A preset as a person reads it.

use std::fmt;

use towline_core::say::time;

use super::{BreakerRule, Preset, Role};

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "preset {}: {}", self.name, self.purpose)?;
        for wanted in &self.roles {
            let how = if wanted.needed { "needed" } else { "if there is one" };
            line(f, &wanted.role.to_string(), format_args!("{}; {how}", wanted.role.purpose()))?;
        }
        line(f, "calls", format_args!("end after {}, streams after {}", time(self.deadline), time(self.stream_deadline)))?;
        let (attempts, targets) = (self.attempts, self.max_targets);
        line(
            f,
            "attempts",
            format_args!("{attempts} at one target; {targets} targets; after {} no further one", self.max_attempts),
        )?;
        self.waits(f)?;
        let (head, first) = (time(self.head), time(self.first_content));
        let (idle, content) = (time(self.idle), time(self.content_idle));
        line(f, "time limits", format_args!("head {head}, first content {first}, silence {idle}, no content {content}"))?;
        line(f, "breaker", format_args!("{}", self.breaker))?;
        let (percent, wait) = (percent(self.limit_share), time(self.limit_wait));
        line(f, "limits", format_args!("{percent} % of what the provider grants; in line for at most {wait}"))?;
        self.table(f)?;
        self.last_words(f)
    }
}

fn line(f: &mut fmt::Formatter<'_>, what: &str, says: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "  {what:<14} {says}")
}

/// To a tenth of one, which is more than anybody writes.
fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

impl Preset {
    fn waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((base, cap), (limited, most)) = (self.backoff, self.throttle_backoff);
        line(f, "waits", format_args!("0 to {}, doubling to {}", time(base), time(cap)))?;
        line(f, "", format_args!("0 to {}, doubling to {}, where the rate is limited", time(limited), time(most)))?;
        line(f, "", format_args!("as long as the provider says, up to {}", time(self.max_server_delay)))
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "moves on", format_args!("as the fallback's own table says"))?;
        for (kind, moves) in &self.moves_on {
            line(f, "", format_args!("{kind}: {}", if *moves { "yes" } else { "no" }))?;
        }
        let long = if self.wants(Role::LargerWindow) { "goes to the larger window" } else { "stays" };
        line(f, "", format_args!("a prompt that is too long: {long}"))?;
        let refused = if self.wants(Role::Reviewer) { "stays, and is reviewed" } else { "stays" };
        line(f, "", format_args!("a refusal by a content policy: {refused}"))?;
        let key = if self.auth_moves_on { "moves on" } else { "stays" };
        line(f, "", format_args!("a key that is not accepted: {key}"))?;
        if self.one_model { line(f, "", format_args!("all targets have one model")) } else { Ok(()) }
    }

    fn last_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut what = "when all fail";
        if let Some(ttl) = self.cached_for {
            line(f, what, format_args!("an answer to the same request that is no older than {}", time(ttl)))?;
            what = "";
        }
        if self.wants(Role::Queue) {
            line(f, what, format_args!("what the queue says that takes it over"))?;
            what = "";
        }
        match &self.answer {
            Some(text) => line(f, what, format_args!("{text:?}")),
            None => line(f, what, format_args!("the failure, loudly")),
        }
    }
}

impl fmt::Display for BreakerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opens after {} failures in {}", self.failures, time(self.window))?;
        if let Some(share) = self.share {
            write!(f, " if they are {} % of all", percent(share))?;
        }
        let (first, longest) = (time(self.open.0), time(self.open.1));
        write!(f, ", for {first} at first and {longest} at most; {} good probes close it", self.good_probes)
    }
}
