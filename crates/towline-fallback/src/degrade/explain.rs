//! What a layer was told, for those who check or print it.

use std::{fmt, time::Duration};

use towline_core::{InvalidConfig, say::time};

use super::{cache::Cache, layer::DegradeLayer};

impl DegradeLayer {
    /// Whether there is a [`queue`](Self::queue).
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.config.queue.is_some()
    }

    /// Whether what was set can act at all.
    ///
    /// # Errors
    ///
    /// `degrades` if there is nothing to give; `ttl` if a cache keeps answers for no time; `read_through` if it gives answers that are older
    /// than any that it keeps.
    pub fn acts(&self) -> Result<(), InvalidConfig> {
        if self.config.is_empty() && self.config.degrades.is_some() {
            return Err(InvalidConfig::new(
                "degrades",
                "is set, and there is no substitute to give; name a cache, a queue or an answer",
            ));
        }
        let Some(cache) = &self.config.cache else { return Ok(()) };
        let (ttl, fresh) = (cache.ttl(), cache.fresh.unwrap_or_default());
        if ttl.is_zero() {
            return Err(InvalidConfig::new("ttl", "of the cache is zero, so that nothing is kept; 30 minutes are usual"));
        }
        if fresh > ttl {
            let why = format!("is {}, and the cache keeps answers for {}; say that at most", time(fresh), time(ttl));
            return Err(InvalidConfig::new("read_through", why));
        }
        Ok(())
    }
}

/// In the order in which they are tried.
impl fmt::Display for DegradeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        let said = [
            config.cache.as_ref().map(ToString::to_string),
            config.queue.as_ref().map(|_| "what your queue says that takes it over".to_owned()),
            config.answer.as_ref().map(|_| match &config.text {
                Some(text) => format!("the answer {text:?}"),
                None => "an answer that a closure of yours designs".to_owned(),
            }),
            config.degrades.as_ref().map(|_| "for the failures that a closure of yours names".to_owned()),
        ];
        let mut said: Vec<_> = said.into_iter().flatten().collect();
        if config.is_empty() {
            said.insert(0, "the failure, loudly".to_owned());
        }
        f.write_str(&said.join("\n"))
    }
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer to the same request that is no older than {}", time(self.ttl()))?;
        match self.fresh {
            Some(fresh) if fresh > Duration::ZERO => write!(f, "; one of the last {} without asking anybody", time(fresh)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn cache(ttl: Duration) -> Cache {
        Cache::new(NonZeroUsize::MIN, ttl)
    }

    #[test]
    fn a_layer_tells_what_it_gives() {
        assert_eq!(DegradeLayer::new().to_string(), "the failure, loudly");
        let layer = DegradeLayer::new().answer("nobody is there").cache(cache(30 * MINUTE).read_through(MINUTE));
        assert_eq!(
            layer.degrades(|_| None).to_string(),
            "an answer to the same request that is no older than 30 min; one of the last 1 min without asking anybody\n\
             the answer \"nobody is there\"\nfor the failures that a closure of yours names"
        );
        assert_eq!(
            DegradeLayer::new().answer("a").answer_with(|_, _| None).to_string(),
            "an answer that a closure of yours designs"
        );
    }

    #[test]
    fn a_substitute_that_is_never_given_is_refused() {
        let field = |layer: DegradeLayer| layer.acts().map_err(|error| error.field());
        let new = DegradeLayer::new;
        assert_eq!((field(new()), field(new().answer("a").degrades(|_| None))), (Ok(()), Ok(())));
        assert_eq!(field(new().degrades(|_| Some(true))), Err("degrades"));
        assert_eq!(field(new().cache(cache(Duration::ZERO))), Err("ttl"));
        assert_eq!(field(new().cache(cache(MINUTE).read_through(2 * MINUTE))), Err("read_through"));
        assert_eq!(field(new().cache(cache(MINUTE).read_through(MINUTE))), Ok(()));
    }
}
