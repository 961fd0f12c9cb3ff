//! Each pair polled step by step and dropped after each step: nothing is held, and nothing is polled that was not woken.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{advance, sleep, timeout_at};
use tower::{Layer, ServiceExt, service_fn};
use towline::{BoxError, CallLayer, CircuitBreakerLayer, CircuitState, ClassifyLayer, FallbackLayer, RateLimitLayer, RetryLayer, Target, TimeoutLayer};
use towline_tests::Body;

use crate::{
    provider::{Provider, refused, silence, status, stream},
    support::*,
};

/// Every target that a test may ask for.
const TARGETS: [Option<&str>; 3] = [None, Some("a"), Some("b")];

/// No exchange takes more polls than this.
const MOST_POLLS: usize = 32;

#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Every attempt fails in another way, and slowly, until one is answered.
    Trouble,
    /// All circuits are half open, and the answer takes its time.
    Probing,
    /// The provider is silent for ever.
    Silence,
}

/// All layers, and a provider in one of the scenes that is not ready in the first second and has room for few; each limiter is
/// empty.
pub(crate) struct Rig {
    pub(crate) provider: Provider,
    pub(crate) call: CallLayer,
    pub(crate) classify: ClassifyLayer,
    pub(crate) retry: RetryLayer,
    pub(crate) breaker: CircuitBreakerLayer,
    pub(crate) limiter: RateLimitLayer,
    pub(crate) timeout: TimeoutLayer,
    pub(crate) fallback: FallbackLayer,
}

impl Rig {
    async fn new(scene: Scene) -> Self {
        let trouble = [
            status(503).after(SECOND).pause(SECOND).then("}"),
            refused().after(SECOND),
            status(429).retry_after("1").after(SECOND),
            stream().pause(SECOND).then(crate::provider::CONTENT).pause(SECOND).then(crate::provider::DONE),
        ];
        let probing = [stream().after(SECOND).pause(SECOND).then(crate::provider::CONTENT).pause(SECOND).then(crate::provider::DONE)];
        let provider = match scene {
            Scene::Trouble => Provider::new(trouble),
            Scene::Probing => Provider::new(probing),
            Scene::Silence => TARGETS.iter().fold(Provider::new([]), |p, target| p.always(target.unwrap_or("-"), silence())),
        };
        let timeout = TimeoutLayer::new().head(10 * SECOND).unwrap().idle(10 * SECOND).unwrap();
        let rig = Self {
            provider,
            call: call_within(MINUTE),
            classify: ClassifyLayer::new(),
            retry: retry(),
            breaker: CircuitBreakerLayer::new(),
            limiter: limiter(1),
            timeout,
            fallback: fallback(),
        };
        rig.set(scene).await;
        rig
    }

    async fn set(&self, scene: Scene) {
        let answers = |status: u16| {
            service_fn(move |_: Request<Body>| async move { Response::builder().status(status).body(Body::default()) })
        };
        for target in TARGETS {
            let to = || {
                let target = target.map(|name| Target::new(name, "http://host").unwrap());
                let mut request = request();
                target.map(|target| request.extensions_mut().insert(target));
                request
            };
            let failures = if matches!(scene, Scene::Probing) { 5 } else { 0 };
            for _ in 0..failures {
                self.breaker.layer(answers(503)).oneshot(to()).await.unwrap();
            }
        }
        advance(8 * SECOND).await;
        for target in TARGETS {
            let mut request = request();
            target.map(|name| request.extensions_mut().insert(Target::new(name, "http://host").unwrap()));
            self.limiter.layer(answers(200)).oneshot(request).await.unwrap();
        }
        self.provider.report().set_ready(false);
        let report = self.provider.report().clone();
        tokio::spawn(async move {
            sleep(SECOND).await;
            report.set_ready(true);
        });
    }

    fn assert_nothing_is_held(&self) {
        self.provider.assert_idle();
        for target in TARGETS {
            assert_eq!(self.limiter.handle().waiting(target), 0);
            assert!(!is_open(&self.breaker.handle(), target) || self.breaker.handle().state(target) != CircuitState::HalfOpen);
        }
    }
}
