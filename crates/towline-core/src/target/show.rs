//! A target as a person reads it.

use std::fmt;

use crate::{Dialect, Phase, Target, say::time};

/// Its name, where it is, and what it has of its own; of its credential and headers only that there are some.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.name(), self.base())?;
        match self.model() {
            Some(model) => write!(f, ", model {model}")?,
            None => f.write_str(", the caller's model")?,
        }
        if let Some(dialect) = self.dialect() {
            write!(f, ", speaks {}", name(dialect))?;
        }
        if let Some(weight) = self.weight() {
            write!(f, ", weight {weight}")?;
        }
        match (self.authorizer(), self.keys().len()) {
            (Some(_), _) => f.write_str(", asks for its credential each time")?,
            (None, keys @ 2..) => write!(f, ", {keys} keys")?,
            (None, _) if self.credential().is_some() => f.write_str(", 1 key")?,
            _ => f.write_str(", no key")?,
        }
        self.own(f)
    }
}

impl Target {
    /// What takes the place of what layers were told for all.
    fn own(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts().map(std::num::NonZeroU32::get) {
            Some(1) => f.write_str(", one attempt")?,
            Some(most) => write!(f, ", at most {most} attempts")?,
            None => {}
        }
        for phase in [Phase::Head, Phase::FirstContent, Phase::Idle, Phase::ContentIdle, Phase::Total] {
            if let Some(limit) = self.timeout(phase) {
                write!(f, ", {} {}", phase.name().replace('_', " "), time(limit))?;
            }
        }
        // What they say may be nobody else's business.
        for (_, what) in
            [(self.parameters(), "parameters"), (self.system_prompt(), "a system prompt")].iter().filter(|own| own.0.is_some())
        {
            write!(f, ", {what} of its own")?;
        }
        let Some(price) = self.price() else { return Ok(()) };
        write!(f, ", ${} and ${} a million tokens in and out", dollars(price.input()), dollars(price.output()))
    }
}

/// Millionths, written with no more digits than it takes.
fn dollars(micros: u64) -> String {
    let whole = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    whole.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "OpenAI chat",
        Dialect::OpenAiResponses => "OpenAI responses",
        Dialect::Anthropic => "Anthropic",
        Dialect::Gemini => "Gemini",
        Dialect::Bedrock => "Bedrock",
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;
    use crate::{Credential, InvalidConfig, Price};

    #[test]
    fn a_target_tells_all_but_its_secrets() -> Result<(), InvalidConfig> {
        let plain = Target::new("plain", "http://host/v1")?;
        assert_eq!(plain.to_string(), r#""plain" at http://host/v1, the caller's model, no key"#);
        let secrets = ["sk-one", "sk-two"].map(Credential::bearer);
        let full = Target::new("full", "https://host")?
            .with_model("gpt-5")
            .with_dialect(Dialect::OpenAiChat)
            .with_weight(NonZeroU32::MIN.saturating_add(2))
            .with_keys(secrets.into_iter().collect::<Result<Vec<_>, _>>()?)
            .with_attempts(NonZeroU32::MIN)
            .with_timeout(Phase::FirstContent, Duration::from_secs(90))?
            .with_parameters(r#"{"user":"s3cret"}"#)
            .with_system_prompt("s3cret")
            .with_price(Price::per_million(0.0375, 10.0)?);
        assert_eq!(
            full.to_string(),
            "\"full\" at https://host/, model gpt-5, speaks OpenAI chat, weight 3, 2 keys, one attempt, first content 1 min 30 s, \
             parameters of its own, a system prompt of its own, $0.0375 and $10 a million tokens in and out"
        );
        Ok(())
    }
}
