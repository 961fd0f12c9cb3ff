//! A stack as a person reads it.

use std::fmt::{self, Display};

use super::layers::Layers;

impl Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(preset) = &self.preset {
            writeln!(f, "preset {}: {}", preset.name, preset.purpose)?;
            for (wanted, player) in preset.cast(&self.fallback, &self.degrade) {
                writeln!(f, "    {}: {}", wanted.role, player.as_deref().unwrap_or("nobody"))?;
            }
        }
        let (attempt_timeout, classify) = (self.attempt_timeout(), self.classify());
        let layers: [(&str, &dyn Display); 10] = [
            ("call", &self.call),
            ("degrade, when nobody could answer", &self.degrade),
            ("timeout of the call", &self.call_timeout),
            ("fallback", &self.fallback),
            ("retry", &self.retry),
            ("circuit breaker", &self.circuit_breaker),
            ("rate limit", &self.rate_limit),
            ("timeout of an attempt", &attempt_timeout),
            ("authorize", &self.authorize),
            ("classify", &classify),
        ];
        for (nth, (name, layer)) in layers.into_iter().enumerate() {
            writeln!(f, "{:>2} {name}", nth + 1)?;
            layer.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        match self.check() {
            Ok(()) => f.write_str("   then the transport\n"),
            Err(wrong) => writeln!(f, "   cannot be built: {wrong}"),
        }
    }
}
