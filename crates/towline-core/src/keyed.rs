//! State that is kept apart for each key, and forgotten when a key falls idle.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use tokio::time::Instant;

const SHARDS: usize = 16;

/// One `V` for each key, made when the key is first seen and forgotten once nobody holds it and nobody has asked for it for a while.
///
/// A look-up takes a short read lock on one of sixteen shards and a clone of an `Arc`. Forgetting happens when a
/// shard is about to grow, so there is no task, and memory stays within twice the number of keys in use plus a few.
pub struct Keyed<V> {
    shards: [RwLock<Shard<V>>; SHARDS],
    hasher: RandomState,
    idle: Duration,
    began: Instant,
}

struct Shard<V> {
    map: HashMap<Arc<str>, Entry<V>>,
    /// The size at which idle keys are looked for.
    sweep_at: usize,
}

struct Entry<V> {
    value: Arc<V>,
    /// Milliseconds since `began`.
    used: AtomicU64,
}

impl<V> Keyed<V> {
    /// An empty map that forgets keys which were not asked for during `idle`.
    #[must_use]
    pub fn new(idle: Duration, now: Instant) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::new(Shard { map: HashMap::new(), sweep_at: 16 })),
            hasher: RandomState::new(),
            idle,
            began: now,
        }
    }

    /// The value of `key`, made by `make` if there is none.
    pub fn get_or_insert_with(&self, key: &Arc<str>, now: Instant, make: impl FnOnce() -> V) -> Arc<V> {
        let ms = self.millis(now);
        let shard = self.shard(key);
        if let Some(entry) = shard.read().map.get(key) {
            entry.used.fetch_max(ms, Ordering::Relaxed);
            return Arc::clone(&entry.value);
        }
        let mut shard = shard.write();
        if shard.map.len() >= shard.sweep_at {
            let oldest = ms.saturating_sub(u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX));
            shard.map.retain(|_, entry| Arc::strong_count(&entry.value) > 1 || *entry.used.get_mut() >= oldest);
            shard.sweep_at = (shard.map.len() * 2).max(16);
        }
        let entry =
            shard.map.entry(Arc::clone(key)).or_insert_with(|| Entry { value: Arc::new(make()), used: AtomicU64::new(ms) });
        Arc::clone(&entry.value)
    }

    /// The value of `key`, if there is one. Does not count as a use.
    pub fn get(&self, key: &str) -> Option<Arc<V>> {
        self.shard(key).read().map.get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// All keys with their values, in no order.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<V>)> {
        let pairs = |shard: &RwLock<Shard<V>>| {
            shard.read().map.iter().map(|(key, entry)| (Arc::clone(key), Arc::clone(&entry.value))).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(pairs).collect()
    }

    fn shard(&self, key: &str) -> &RwLock<Shard<V>> {
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        // The remainder is always in range; `first` only spares us a panic path.
        self.shards.get(at).unwrap_or(&self.shards[0])
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl<V> fmt::Debug for Keyed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("keys", &self.shards.iter().map(|s| s.read().map.len()).sum::<usize>())
            .field("idle", &self.idle)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        // Any instant does: only differences count.
        Instant::now()
    }

    #[test]
    fn a_key_keeps_its_value() {
        let now = start();
        let map = Keyed::new(Duration::from_secs(60), now);
        let one = map.get_or_insert_with(&"a".into(), now, || 1);
        let again = map.get_or_insert_with(&"a".into(), now, || 2);
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(map.get("b"), None);
        assert_eq!(map.all().len(), 1);
    }

    #[test]
    fn idle_keys_are_forgotten_unless_somebody_holds_them() {
        let now = start();
        let map = Keyed::new(Duration::from_secs(60), now);
        let held = map.get_or_insert_with(&"held".into(), now, || 0);
        for n in 0..10_000_u32 {
            let later = now + Duration::from_secs(u64::from(n));
            map.get_or_insert_with(&n.to_string().into(), later, || n);
        }
        assert!(map.all().len() < 1000, "{map:?}");
        assert!(Arc::ptr_eq(&held, &map.get("held").unwrap()));
    }
}
