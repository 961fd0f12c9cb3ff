//! The configuration.

use std::time::Duration;

use tower_layer::Layer;
use towline_core::InvalidConfig;
use towline_wire::facts::CountTokens;

use crate::CallService;

/// Turns a request into a call: its body into bytes, with its facts and a deadline.
///
/// See the [crate's page](crate) for what happens in which order.
#[derive(Clone, Copy, Debug)]
pub struct CallLayer {
    pub(crate) max_body: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) stream_deadline: Option<Duration>,
    pub(crate) count_tokens: Option<CountTokens>,
}

impl CallLayer {
    /// Bodies of at most 32 MiB, and a deadline after 600 s, or 3600 s if the answer streams.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_body: 32 * 1024 * 1024,
            deadline: Some(Duration::from_secs(600)),
            stream_deadline: Some(Duration::from_secs(3600)),
            count_tokens: None,
        }
    }

    /// The most bytes that a request's body may have. With 0, none.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long a call may take, from when it arrives, whether its answer streams or not.
    ///
    /// # Errors
    ///
    /// `deadline` if it is zero.
    pub fn deadline(mut self, after: Duration) -> Result<Self, InvalidConfig> {
        self.deadline = Some(positive("deadline", after)?);
        self.stream_deadline = self.deadline;
        Ok(self)
    }

    /// How long a call may take whose answer streams: what [`deadline`](Self::deadline), which sets both, has set is replaced.
    ///
    /// # Errors
    ///
    /// `stream_deadline` if it is zero.
    pub fn stream_deadline(mut self, after: Duration) -> Result<Self, InvalidConfig> {
        self.stream_deadline = Some(positive("stream_deadline", after)?);
        Ok(self)
    }

    /// How many tokens a text has, as a tokenizer counts them. Default: 1.1 for each four bytes of all texts together.
    ///
    /// It is asked for each text of a request, once, before anything is sent; the sum is the [fact](towline_core::Facts) that a rate limit
    /// goes by. It should be quick, since it keeps its thread from all else, and must not panic. What is no text counts as without it.
    ///
    /// ```
    /// let words = |text: &str| text.split_whitespace().count() as u64;
    /// let layer = towline_call::CallLayer::new().count_tokens(words);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub const fn count_tokens(mut self, count: fn(&str) -> u64) -> Self {
        self.count_tokens = Some(count);
        self
    }

    /// No deadline, but that of a call that it is part of.
    #[must_use]
    pub const fn without_deadline(mut self) -> Self {
        self.deadline = None;
        self.stream_deadline = None;
        self
    }
}

impl Default for CallLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService::new(inner, *self)
    }
}

fn positive(field: &'static str, time: Duration) -> Result<Duration, InvalidConfig> {
    if time.is_zero() { Err(InvalidConfig::new(field, "must be longer than zero")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_zero_is_refused_by_name() {
        assert_eq!(CallLayer::new().deadline(Duration::ZERO).unwrap_err().field(), "deadline");
        assert_eq!(CallLayer::new().stream_deadline(Duration::ZERO).unwrap_err().field(), "stream_deadline");
    }
}
