//! How many failures there were lately.

use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: u64 = 12;

/// A ring of twelve buckets with exact counts, which slides by one bucket at a time: it covers the present, still growing
/// bucket and the eleven before it, so between 11/12 and the whole of its length.
#[derive(Debug)]
pub(crate) struct Window {
    began: Instant,
    bucket: Duration,
    counts: [u32; BUCKETS as usize],
    /// The newest bucket's number since `began`.
    newest: u64,
}

impl Window {
    pub(crate) fn new(length: Duration, now: Instant) -> Self {
        let bucket = (length / BUCKETS as u32).max(Duration::from_nanos(1));
        Self { began: now, bucket, counts: [0; BUCKETS as usize], newest: 0 }
    }

    /// Counts one failure at `now` and says how many the window holds.
    pub(crate) fn record(&mut self, now: Instant) -> u32 {
        self.slide(now);
        let newest = self.newest;
        if let Some(count) = self.bucket_mut(newest) {
            *count = count.saturating_add(1);
        }
        self.counts.iter().fold(0, |sum, count| count.saturating_add(sum))
    }

    pub(crate) fn clear(&mut self) {
        self.counts = [0; BUCKETS as usize];
    }

    /// Empties the buckets that the clock has passed. A `now` that is behind, of a thread that was delayed, belongs to the
    /// newest bucket.
    fn slide(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_nanos() / self.bucket.as_nanos().max(1);
        let newest = u64::try_from(since).unwrap_or(u64::MAX).max(self.newest);
        for passed in (self.newest + 1..=newest).take(BUCKETS as usize) {
            if let Some(count) = self.bucket_mut(passed) {
                *count = 0;
            }
        }
        self.newest = newest;
    }

    fn bucket_mut(&mut self, number: u64) -> Option<&mut u32> {
        self.counts.get_mut((number % BUCKETS) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn it_counts_what_a_list_of_all_failures_counts(waits in prop::collection::vec(0..20_000_u64, 1..200)) {
            let start = Instant::now();
            let mut window = Window::new(MINUTE, start);
            let (mut at, mut all) = (0, Vec::new());
            for wait in waits {
                at += wait;
                let bucket = at / 5000;
                all.push(bucket);
                let lately = all.iter().filter(|b| **b + 12 > bucket).count();
                prop_assert_eq!(window.record(start + Duration::from_millis(at)) as usize, lately);
            }
        }
    }

    #[test]
    fn a_thread_that_was_delayed_counts_into_the_newest_bucket_and_wipes_nothing() {
        let start = Instant::now();
        let mut window = Window::new(MINUTE, start);
        assert_eq!(window.record(start + MINUTE * 10), 1);
        assert_eq!(window.record(start), 2);
    }

    #[test]
    fn the_bounds_of_time_do_no_harm() {
        let start = Instant::now();
        for length in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(86_400 * 365)] {
            let mut window = Window::new(length, start);
            assert_eq!(window.record(start), 1);
            assert!(window.record(start + Duration::from_secs(86_400 * 3650)) <= 2);
        }
    }
}
