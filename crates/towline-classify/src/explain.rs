//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{
    InvalidConfig,
    say::{size, time},
};

use crate::ClassifyLayer;

impl ClassifyLayer {
    /// Whether a stream is held until its first content, which may take so long: what has flowed on can no longer be replaced.
    ///
    /// # Errors
    ///
    /// `hold_up_to` if it holds nothing, or for less than that.
    pub fn holds_for(&self, first_content: Duration) -> Result<(), InvalidConfig> {
        let (hold, limit) = (&self.config.hold, time(first_content));
        let why = match (hold.events, hold.time < first_content) {
            (0, _) => {
                format!("holds no stream, so that a limit of {limit} on its first content replaces nothing; say at least 1 event")
            }
            (_, true) => format!("holds a stream for {}, and its first content may take {limit}; say as much", time(hold.time)),
            _ => return Ok(()),
        };
        Err(InvalidConfig::new("hold_up_to", why))
    }

    /// The same, but holding streams for no less than `least`.
    #[must_use]
    pub fn hold_for_at_least(self, least: Duration) -> Self {
        let hold = self.config.hold;
        if hold.time >= least { self } else { self.hold_up_to(hold.events, hold.bytes, least) }
    }
}

impl fmt::Display for ClassifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        writeln!(f, "reads of an error's body up to {}, for {}", size(config.read_bytes), time(config.read_time))?;
        f.write_str(if config.look_into_success { "looks into small successes" } else { "looks into no success" })?;
        f.write_str(if config.reject_empty { ", and refuses empty ones" } else { "" })?;
        let hold = &config.hold;
        match hold.events {
            0 => f.write_str("\nholds no stream")?,
            events => write!(
                f,
                "\nholds a stream until its first content, for {events} events, {} and {} at most",
                size(hold.bytes),
                time(hold.time)
            )?,
        }
        f.write_str(if config.fail_cut_streams {
            "\na stream that is cut ends with an error"
        } else {
            "\na stream that is cut just ends"
        })?;
        f.write_str(if config.usage { "\nreads what answers tell of tokens" } else { "" })?;
        for (n, what) in [(config.rules.len(), "rule"), (config.validators.len(), "check")] {
            if n > 0 {
                write!(f, "\n{n} {what}{} of yours", if n == 1 { "" } else { "s" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_tells_its_settings() {
        assert_eq!(
            ClassifyLayer::new().to_string(),
            "reads of an error's body up to 64 KiB, for 2 s\nlooks into small successes\n\
             holds a stream until its first content, for 64 events, 256 KiB and 2 min at most\na stream that is cut ends with an error"
        );
        let layer = ClassifyLayer::new().usage(true).rule(|_, _| None).hold_up_to(0, 0, Duration::ZERO);
        let told = layer.look_into_success(false).fail_cut_streams(false).to_string();
        assert!(told.ends_with(
            "looks into no success\nholds no stream\na stream that is cut just ends\nreads what answers tell of tokens\n1 rule of yours"
        ));
    }

    #[test]
    fn a_limit_on_the_first_content_wants_streams_held_for_as_long() {
        let (layer, minute) = (ClassifyLayer::new(), Duration::from_secs(60));
        assert_eq!(layer.holds_for(2 * minute), Ok(()));
        assert_eq!(
            layer.holds_for(3 * minute).unwrap_err().to_string(),
            "invalid configuration: `hold_up_to` holds a stream for 2 min, and its first content may take 3 min; say as much"
        );
        assert_eq!(layer.clone().hold_for_at_least(3 * minute).holds_for(3 * minute), Ok(()));
        assert!(layer.hold_up_to(0, 1, minute).holds_for(minute).is_err());
    }
}
