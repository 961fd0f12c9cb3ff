//! How many failures there were lately.

use crate::span::BUCKETS;

/// A ring of buckets with exact counts, for those who hold the circuit's lock.
#[derive(Debug, Default)]
pub(crate) struct Window {
    counts: [u32; BUCKETS as usize],
    /// The newest bucket's number.
    newest: u64,
}

impl Window {
    /// Counts one in the bucket `number` and says how many the window holds.
    pub(crate) fn record(&mut self, number: u64) -> u32 {
        self.slide(number);
        let newest = self.newest;
        if let Some(count) = self.bucket_mut(newest) {
            *count = count.saturating_add(1);
        }
        self.counts.iter().fold(0, |sum, count| count.saturating_add(sum))
    }

    /// How many it holds when the newest bucket is `number`.
    pub(crate) fn sum(&mut self, number: u64) -> u32 {
        self.slide(number);
        self.counts.iter().fold(0, |sum, count| count.saturating_add(sum))
    }

    pub(crate) fn clear(&mut self) {
        self.counts = [0; BUCKETS as usize];
    }

    /// Empties the buckets that the clock has passed. A number that is behind, of a thread that was delayed, is taken for the
    /// newest one.
    fn slide(&mut self, number: u64) {
        let newest = number.max(self.newest);
        for passed in (self.newest..newest).take(BUCKETS as usize) {
            if let Some(count) = self.bucket_mut(passed + 1) {
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

    proptest! {
        #[test]
        fn it_counts_what_a_list_of_all_failures_counts(steps in prop::collection::vec(0..20_u64, 1..200)) {
            let mut window = Window::default();
            let (mut bucket, mut all) = (0, Vec::new());
            for step in steps {
                bucket += step;
                all.push(bucket);
                let lately = all.iter().filter(|b| **b + 12 > bucket).count();
                prop_assert_eq!(window.record(bucket) as usize, lately);
                let later = all.iter().filter(|b| **b + 12 > bucket + 1).count();
                bucket += 1;
                prop_assert_eq!(window.sum(bucket) as usize, later);
            }
        }
    }

    #[test]
    fn a_thread_that_was_delayed_counts_into_the_newest_bucket_and_wipes_nothing() {
        let mut window = Window::default();
        assert_eq!(window.record(120), 1);
        assert_eq!(window.record(0), 2);
        assert_eq!(window.sum(131), 2);
        assert_eq!(window.sum(132), 0);
    }

    #[test]
    fn the_last_number_does_no_harm() {
        let mut window = Window::default();
        assert_eq!(window.record(u64::MAX), 1);
        assert_eq!(window.record(u64::MAX), 2);
        window.clear();
        assert_eq!(window.sum(u64::MAX), 0);
    }
}
