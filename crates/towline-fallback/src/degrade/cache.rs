//! Good answers, kept for a while.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::canonical::Key;

/// A bounded cache of good answers. Clones share what they keep.
///
/// An answer is kept when its body has been read to its end, if it was a 200, nothing failed in it, and it is no larger than 1 MiB. It is
/// forgotten when its time is over, or when there is no room for younger ones.
#[derive(Clone)]
pub struct Cache {
    kept: Arc<Mutex<Kept>>,
    bounds: Bounds,
    /// For how long an answer is given without asking anybody.
    pub(super) fresh: Option<Duration>,
    pub(super) tool_results: bool,
}

#[derive(Clone, Copy)]
struct Bounds {
    entries: NonZeroUsize,
    ttl: Duration,
    body: usize,
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<Key, Arc<Good>>,
    /// From the oldest to the youngest, by number; one that was replaced may still stand here.
    order: VecDeque<(Key, u64)>,
    last: u64,
    bytes: usize,
}

/// An answer as it was given, chunk by chunk.
pub(super) struct Good {
    headers: HeaderMap,
    pub(super) chunks: Vec<Bytes>,
    at: Instant,
    nth: u64,
}

impl Cache {
    /// Keeps at most `entries` answers, 64 MiB in all, for `ttl` each.
    #[must_use]
    pub fn new(entries: NonZeroUsize, ttl: Duration) -> Self {
        let bounds = Bounds { entries, ttl, body: 1024 * 1024, bytes: 64 * 1024 * 1024 };
        Self { kept: Arc::default(), bounds, fresh: None, tool_results: false }
    }

    /// How large an answer may be, and all that are kept together, in bytes. Default: 1 MiB and 64 MiB.
    #[must_use]
    pub fn max_bytes(mut self, answer: usize, all: usize) -> Self {
        (self.bounds.body, self.bounds.bytes) = (answer, all);
        self
    }

    /// Gives an answer that is no older than this without asking anybody. Such an answer is not degraded; its `age` header tells. Default:
    /// never.
    #[must_use]
    pub fn read_through(mut self, fresh: Duration) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// Whether answers to requests that carry results of tools are kept too. What such a request asks for depends on a world that has
    /// moved on since. Default: no.
    #[must_use]
    pub fn tool_results(mut self, keep: bool) -> Self {
        self.tool_results = keep;
        self
    }

    pub(super) const fn ttl(&self) -> Duration {
        self.bounds.ttl
    }

    pub(super) const fn max_answer(&self) -> usize {
        self.bounds.body
    }

    /// An answer to the same request that is no older than `age`, nor than the time to live.
    pub(super) fn get(&self, key: &Key, age: Duration, now: Instant) -> Option<Arc<Good>> {
        let good = self.kept.lock().answers.get(key).cloned()?;
        (now.saturating_duration_since(good.at) <= age.min(self.bounds.ttl)).then_some(good)
    }

    pub(super) fn put(&self, key: Key, headers: &HeaderMap, chunks: Vec<Bytes>, now: Instant) {
        let mut of_answer = HeaderMap::new();
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            headers.get(&name).into_iter().for_each(|value| drop(of_answer.insert(&name, value.clone())));
        }
        let good = Good { headers: of_answer, chunks, at: now, nth: 0 };
        self.kept.lock().put(key, good, &self.bounds);
    }
}

impl Kept {
    fn put(&mut self, key: Key, mut good: Good, bounds: &Bounds) {
        let (size, now) = (good.size(), good.at);
        if size > bounds.body {
            return;
        }
        self.last = self.last.wrapping_add(1);
        good.nth = self.last;
        self.bytes = self.bytes.saturating_add(size);
        self.order.push_back((key, good.nth));
        if let Some(older) = self.answers.insert(key, Arc::new(good)) {
            self.bytes = self.bytes.saturating_sub(older.size());
        }
        while let Some((key, nth)) = self.order.front().copied() {
            let oldest = self.answers.get(&key).filter(|good| good.nth == nth);
            let is_over = oldest.is_none_or(|good| now.saturating_duration_since(good.at) > bounds.ttl);
            if !is_over && self.answers.len() <= bounds.entries.get() && self.bytes <= bounds.bytes {
                break;
            }
            if let Some(size) = oldest.map(|good| good.size()) {
                self.bytes = self.bytes.saturating_sub(size);
                self.answers.remove(&key);
            }
            self.order.pop_front();
        }
        // Those that were replaced in the midst go as soon as they are the more.
        if self.order.len() > self.answers.len().saturating_mul(2) {
            let answers = &self.answers;
            self.order.retain(|(key, nth)| answers.get(key).is_some_and(|good| good.nth == *nth));
        }
    }
}

impl Good {
    fn size(&self) -> usize {
        self.chunks.iter().fold(0, |sum, chunk| sum.saturating_add(chunk.len()))
    }

    /// The head of the answer, with its age.
    pub(super) fn head(&self, now: Instant) -> Response<()> {
        let mut response = Response::new(());
        *response.headers_mut() = self.headers.clone();
        let age = now.saturating_duration_since(self.at).as_secs();
        response.headers_mut().insert(header::AGE, HeaderValue::from(age));
        response
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.lock();
        f.debug_struct("Cache").field("answers", &kept.answers.len()).field("bytes", &kept.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cache(entries: usize, ttl: u64, bytes: usize) -> Cache {
        Cache::new(NonZeroUsize::new(entries).unwrap(), Duration::from_secs(ttl)).max_bytes(8, bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_keeps_what_a_plain_list_would_and_no_more_than_it_may(
            puts in proptest::collection::vec((0..6_u64, 0..10_usize, 0..4_u64), 1..60), entries in 1..5_usize, bytes in 8..30_usize
        ) {
            let cache = cache(entries, 7, bytes);
            let mut now = Instant::now();
            // The naive model: a list from old to young.
            let mut model: Vec<(u64, usize, Instant)> = Vec::new();
            for (key, size, passed) in puts {
                now += Duration::from_secs(passed);
                cache.put([key, key], &HeaderMap::new(), vec![Bytes::from(vec![0; size])], now);
                if size <= 8 {
                    model.retain(|(other, ..)| *other != key);
                    model.push((key, size, now));
                    model.retain(|(_, _, at)| now - *at <= Duration::from_secs(7));
                    while model.len() > entries || model.iter().map(|(_, size, _)| size).sum::<usize>() > bytes {
                        model.remove(0);
                    }
                }
                for key in 0..6 {
                    let kept = cache.get(&[key, key], Duration::MAX, now).map(|good| good.size());
                    let known = model.iter().find(|(other, _, at)| *other == key && now - *at <= Duration::from_secs(7));
                    prop_assert_eq!(kept, known.map(|(_, size, _)| *size));
                }
                let kept = cache.kept.lock();
                prop_assert!(kept.bytes <= bytes && kept.answers.len() <= entries && kept.order.len() <= 2 * kept.answers.len() + 1);
            }
        }
    }
}
