//! Ten minutes of full demand at a simulated provider, with and without us.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each user takes its own part, and may panic where a test may")]

pub(crate) mod provider;
pub(crate) mod rivals;

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline_core::{Call, Facts, Jitter};
use towline_rate_limit::{Limits, Profile, RateLimitLayer};

use self::{
    provider::{Counts, Provider, Rules, Window},
    rivals::Rival,
};

const MINUTES: u32 = 10;

/// What we take of a limit by default, and rivals are to take as well.
const SHARE: f64 = 0.95;

/// A provider, and who asks it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) rules: Rules,
    pub(crate) profile: Profile,
    /// Each request is estimated at between half and one and a half of so many tokens.
    pub(crate) estimate: u64,
    pub(crate) callers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limiter {
    Ours,
    FixedWindow,
    TokenBucket,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Of the limit that was used most.
    pub(crate) used: f64,
    /// Of all calls.
    pub(crate) refused: f64,
    pub(crate) counts: Counts,
}

pub(crate) const SCENES: [Scene; 5] = [
    Scene {
        name: "Anthropic-like: tokens refill steadily",
        rules: Rules { requests: None, tokens: (6_000_000, Window::Refills) },
        profile: Profile::Anthropic,
        estimate: 2000,
        callers: 200,
    },
    Scene {
        name: "OpenAI-like: tokens by the minute",
        rules: Rules { requests: None, tokens: (6_000_000, Window::Resets(60)) },
        profile: Profile::OpenAi,
        estimate: 2000,
        callers: 200,
    },
    Scene {
        name: "Azure-like: requests by the second and tokens by the minute; tokens are short",
        rules: Rules { requests: Some((6000, Window::Resets(1))), tokens: (6_000_000, Window::Resets(60)) },
        profile: Profile::Azure,
        estimate: 2000,
        callers: 200,
    },
    Scene {
        name: "the same; requests are short",
        rules: Rules { requests: Some((6000, Window::Resets(1))), tokens: (6_000_000, Window::Resets(60)) },
        profile: Profile::Azure,
        estimate: 300,
        callers: 500,
    },
    Scene {
        name: "stricter than Azure: tokens by the second",
        rules: Rules { requests: None, tokens: (30_000_000, Window::Resets(1)) },
        profile: Profile::Azure,
        estimate: 1000,
        callers: 1500,
    },
];

impl Scene {
    /// Ten minutes in which everybody asks again as soon as it has been answered.
    pub(crate) async fn play(&self, limiter: Limiter) -> Outcome {
        let provider = Provider::new(self.rules, 9);
        let asked = provider.clone();
        let ask = service_fn(move |request: Request<usize>| asked.clone().ask(request));
        match limiter {
            Limiter::Ours => self.demand(self.layer().layer(ask)).await,
            Limiter::FixedWindow => self.demand(self.behind(Rival::fixed_window, ask)).await,
            Limiter::TokenBucket => self.demand(self.behind(|n| Rival::token_bucket(few(n)), ask)).await,
        }
        self.outcome(provider.counts())
    }

    fn layer(&self) -> RateLimitLayer {
        let mut limits = Limits::none();
        if let Some((requests, _)) = self.rules.requests {
            limits = limits.requests_per_minute(few(requests));
        }
        let tokens = NonZeroU64::from(few(self.rules.tokens.0));
        limits = match self.profile {
            Profile::Anthropic => limits.input_tokens_per_minute(tokens),
            _ => limits.tokens_per_minute(tokens),
        };
        let layer = RateLimitLayer::new(limits).profile(self.profile);
        layer.max_wait(Duration::from_secs(3600)).queue(self.callers)
    }

    /// The same share of each limit, kept by a limiter of its own, which was told what requests use in the mean.
    fn behind<S>(
        &self,
        rival: impl Fn(u32) -> Rival,
        ask: S,
    ) -> impl Service<Request<usize>, Response = Response<Empty<Bytes>>, Error: Send, Future: Send> + Clone + Send + 'static
    where
        S: Service<Request<usize>, Response = Response<Empty<Bytes>>, Error: Send, Future: Send> + Clone + Send + 'static,
    {
        let share = |limit: u32| (f64::from(limit) * SHARE) as u32;
        let requests = self.rules.requests.map(|(limit, _)| rival(share(limit)));
        let tokens = rival(share(self.rules.tokens.0));
        service_fn(move |request: Request<usize>| {
            let (requests, tokens, ask) = (requests.clone(), tokens.clone(), ask.clone());
            async move {
                if let Some(requests) = requests {
                    requests.pass(NonZeroU32::MIN).await;
                }
                let estimated = Call::of(request.extensions()).map_or(1, |call| call.facts().input_tokens);
                tokens.pass(few((estimated as f64 * provider::MEAN).round() as u32)).await;
                ask.oneshot(request).await
            }
        })
    }

    async fn demand<S, B>(&self, service: S)
    where
        S: Service<Request<usize>, Response = Response<B>, Error: Send, Future: Send> + Clone + Send + 'static,
        B: http_body::Body<Data: Send, Error: Send> + Send + 'static,
    {
        let (chance, estimate) = (Jitter::seeded(4), self.estimate);
        let callers = (0..self.callers).map(|_| {
            let (service, chance) = (service.clone(), chance.clone());
            tokio::spawn(async move {
                loop {
                    let tokens = estimate / 2 + u64::try_from(chance.up_to(Duration::from_nanos(estimate)).as_nanos()).unwrap();
                    let Ok(response) = service.clone().oneshot(asks(tokens)).await else { continue };
                    let told = response.headers().get("retry-after-ms").and_then(|ms| ms.to_str().ok()?.parse().ok());
                    drop(http_body_util::BodyExt::collect(response.into_body()).await);
                    // Who is told to wait does so, whoever may stand between.
                    if let Some(ms) = told {
                        sleep(Duration::from_millis(ms)).await;
                    }
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        sleep(Duration::from_secs(60) * MINUTES).await;
        callers.iter().for_each(tokio::task::JoinHandle::abort);
    }

    fn outcome(&self, counts: Counts) -> Outcome {
        let share = |used: f64, limit: u32| used / f64::from(limit * MINUTES);
        let requests = self.rules.requests.map_or(0.0, |(limit, _)| share(counts.served as f64, limit));
        let used = share(counts.tokens, self.rules.tokens.0).max(requests);
        let refused = counts.refused as f64 / (counts.served + counts.refused) as f64;
        Outcome { used, refused, counts }
    }
}

fn asks(tokens: u64) -> Request<usize> {
    let mut facts = Facts::default();
    (facts.input_tokens, facts.max_output_tokens) = (tokens, Some(1));
    let mut request = Request::new(0);
    request.extensions_mut().insert(Call::new(facts, Instant::now(), None));
    request
}

fn few(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}
