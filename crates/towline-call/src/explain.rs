//! What a layer was told, for those who print it.

use std::{fmt, time::Duration};

use towline_core::say::{size, time};

use crate::CallLayer;

impl CallLayer {
    /// How long a call may take whose answer streams, or one whose answer does not; `None` without a deadline.
    #[must_use]
    pub const fn deadline_of(&self, stream: bool) -> Option<Duration> {
        if stream { self.stream_deadline } else { self.deadline }
    }
}

impl fmt::Display for CallLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "a body of at most {}", size(u64::try_from(self.max_body).unwrap_or(u64::MAX)))?;
        match (self.deadline, self.stream_deadline) {
            (Some(all), Some(stream)) if all == stream => write!(f, "ends after {}", time(all)),
            (Some(plain), Some(stream)) => write!(f, "ends after {}, a stream after {}", time(plain), time(stream)),
            (None, Some(stream)) => write!(f, "a stream ends after {}, nothing else does", time(stream)),
            (Some(plain), None) => write!(f, "ends after {}, a stream does not", time(plain)),
            (None, None) => f.write_str("no deadline but that of a call that it is part of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_tells_its_settings() {
        assert_eq!(CallLayer::new().to_string(), "a body of at most 32 MiB\nends after 10 min, a stream after 1 h");
        let short = CallLayer::new().max_body(1000).deadline(Duration::from_secs(20)).unwrap();
        assert_eq!(short.to_string(), "a body of at most 1000 bytes\nends after 20 s");
        assert!(short.without_deadline().to_string().ends_with("no deadline but that of a call that it is part of"));
    }
}
