//! One server under one load.

use std::time::Duration;

use lab::BoxError;

use super::{
    client::{Ask, Times, load},
    process::Server,
};

/// What one round of a load shows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    pub(super) per_second: f64,
    /// Processor time of the server for each request, in microseconds.
    pub(super) cpu: f64,
    /// Of the time that a call took, in microseconds.
    pub(super) median: f64,
}

impl Round {
    pub(super) async fn of(server: &Server, callers: usize, ask: Ask, time: Duration) -> Result<Self, BoxError> {
        let before = server.cpu()?;
        let times = load(server.address, callers, ask, time).await?;
        let cpu = server.cpu()?.saturating_sub(before);
        let calls = times.len() as f64;
        Ok(Self { per_second: calls / time.as_secs_f64(), cpu: cpu.as_secs_f64() * 1e6 / calls, median: median(&times) })
    }
}

/// The middle one of sorted times, in microseconds.
pub(super) fn median(times: &Times) -> f64 {
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// The middle one of some numbers.
pub(super) fn middle(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_that_of_the_sorted() {
        assert_eq!(middle([9.0, 1.0, 5.0]), 5.0);
        assert!(middle([]).is_nan() && median(&Times::new()).is_nan());
    }
}
