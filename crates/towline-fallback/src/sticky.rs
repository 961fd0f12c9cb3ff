//! Conversations that stay with the target that answered them last.

use std::{sync::Arc, time::Duration};

use http::request::Parts;
use parking_lot::Mutex;
use tokio::time::Instant;
use towline_core::{Keyed, Target};

pub(crate) struct Sticky {
    key: Box<KeyOf>,
    ttl: Duration,
    last: Keyed<Mutex<Option<Last>>>,
}

type KeyOf = dyn Fn(&Parts) -> Option<Arc<str>> + Send + Sync;

/// Who answered a conversation last, by name since orders differ between layers that share this, and when.
struct Last {
    target: Arc<str>,
    at: Instant,
}

impl Sticky {
    pub(crate) fn new(key: impl Fn(&Parts) -> Option<Arc<str>> + Send + Sync + 'static, ttl: Duration) -> Self {
        Self { key: Box::new(key), ttl, last: Keyed::new(ttl, Instant::now()) }
    }

    pub(crate) const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// The conversation that a request belongs to.
    pub(crate) fn key(&self, parts: &Parts) -> Option<Arc<str>> {
        (self.key)(parts)
    }

    /// Who answered it last, if that is not too long ago.
    pub(crate) fn target(&self, key: &str, now: Instant) -> Option<Arc<str>> {
        let last = self.last.get(key)?;
        let last = last.lock();
        last.as_ref().filter(|last| now.saturating_duration_since(last.at) < self.ttl).map(|last| Arc::clone(&last.target))
    }

    pub(crate) fn answered(&self, key: &Arc<str>, target: &Target, now: Instant) {
        let last = self.last.get_or_insert_with(key, now, Mutex::default);
        *last.lock() = Some(Last { target: Arc::clone(target.key()), at: now });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_remembers_as_a_list_of_all_that_was_said_does(
            said in prop::collection::vec((0..40_u64, "[a-c]", prop::option::of("[x-z]")), 0..40)
        ) {
            let (start, ttl) = (Instant::now(), Duration::from_secs(60));
            let sticky = Sticky::new(|_| None, ttl);
            let mut list: Vec<(u64, String, String)> = Vec::new();
            let mut at = 0;
            for (after, key, answered) in said {
                at += after;
                let now = start + Duration::from_secs(at);
                let last = list.iter().rev().find(|(_, known, _)| *known == key).filter(|(then, ..)| at - then < 60);
                let target = sticky.target(&key, now);
                prop_assert_eq!(target.as_deref(), last.map(|(_, _, target)| target.as_str()));
                if let Some(name) = answered {
                    sticky.answered(&key.as_str().into(), &Target::new(&name, "http://host").unwrap(), now);
                    list.push((at, key, name));
                }
            }
        }
    }
}
