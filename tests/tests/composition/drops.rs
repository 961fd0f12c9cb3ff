//! Each pair polled step by step and dropped after each step: nothing is held, and nothing is polled that was not woken.

use std::{future::poll_fn, pin::pin, task::Poll};

use http::{Request, Response};
use tokio::time::{advance, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use towline::{
    BoxError, CallLayer, CircuitBreakerLayer, ClassifyLayer, Error, FallbackLayer, RateLimitLayer, RetryBudget, RetryLayer,
    Target, TimeoutLayer,
};
use towline_tests::Body;

use crate::{provider::*, support::*};

/// No exchange takes more polls than this; a layer that wakes itself would soon have used them up.
const MOST_POLLS: usize = 16;

/// Whom a request may be for.
const TARGETS: [Option<&str>; 3] = [None, Some("a"), Some("b")];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Scene {
    /// Every attempt fails in another way, and slowly, until one is answered.
    Trouble,
    /// All circuits are half-open, and the answer takes its time.
    Probing,
    /// The provider is silent for ever.
    Silence,
}

/// All layers, with every limit used up, over a provider that is not ready in the first second and has room for one.
pub(crate) struct Rig {
    pub(crate) provider: Provider,
    pub(crate) call: CallLayer,
    pub(crate) classify: ClassifyLayer,
    pub(crate) retry: RetryLayer,
    pub(crate) breaker: CircuitBreakerLayer,
    pub(crate) limiter: RateLimitLayer,
    pub(crate) timeout: TimeoutLayer,
    pub(crate) fallback: FallbackLayer,
    budget: RetryBudget,
}

impl Rig {
    async fn new(scene: Scene) -> Self {
        let budget = RetryBudget::new(0.1, 20, 10).unwrap();
        let rig = Self {
            provider: provider(scene),
            call: call_within(MINUTE),
            classify: ClassifyLayer::new(),
            retry: retry().budget(budget.clone()),
            breaker: CircuitBreakerLayer::new(),
            limiter: limiter(1),
            timeout: TimeoutLayer::new().head(10 * SECOND).unwrap().idle(10 * SECOND).unwrap(),
            fallback: fallback(),
            budget,
        };
        if matches!(scene, Scene::Probing) {
            for target in TARGETS.repeat(5) {
                rig.breaker.layer(service_fn(fails)).oneshot(request_to(target)).await.unwrap();
            }
            advance(8 * SECOND).await;
        }
        for target in TARGETS {
            rig.limiter.layer(service_fn(fails)).oneshot(request_to(target)).await.unwrap();
        }
        let report = rig.provider.report().clone();
        report.set_ready(false);
        tokio::spawn(async move {
            sleep(SECOND).await;
            report.set_ready(true);
        });
        rig
    }

    /// Whoever was dropped leaves no trace, and the next calls are served by whom they would have been.
    async fn is_as_new<R>(&self, client: &impl Client<R>, when: &str)
    where
        R: http_body::Body,
        R::Error: Into<BoxError>,
    {
        self.provider.assert_idle();
        TARGETS
            .iter()
            .for_each(|target| assert_eq!(self.limiter.handle().waiting(*target), 0, "{when}: somebody stands in line"));
        let retries = self.provider.sent().saturating_sub(1);
        assert!(self.budget.tokens() >= 10.0 - retries as f64, "{when}: a retry that was not sent was paid for");
        self.provider.recover();
        for _ in 0..3 {
            // Else a gate that is closed for longer than a call would stand before it sends it to b.
            sleep(3 * SECOND).await;
            assert_eq!(ask(client).await, "200 {}", "{when}");
            assert!(self.provider.log().pop().is_some_and(|sent| sent.target != "b"), "{when}: a's circuit holds a place");
        }
        self.provider.assert_idle();
    }
}

fn provider(scene: Scene) -> Provider {
    let slow = || stream().after(SECOND).pause(SECOND).then(CONTENT).pause(SECOND).then(DONE);
    match scene {
        Scene::Trouble => Provider::with_room(
            1,
            [
                status(503).after(SECOND).pause(SECOND).then("}"),
                refused().after(SECOND),
                status(429).retry_after("1").after(SECOND),
                slow(),
            ],
        ),
        Scene::Probing => Provider::with_room(1, [slow()]),
        Scene::Silence => {
            TARGETS.iter().fold(Provider::with_room(1, []), |provider, target| provider.always(target.unwrap_or("-"), silence()))
        }
    }
}

async fn fails(_: Request<Body>) -> http::Result<Response<Body>> {
    Response::builder().status(503).body(Body::default())
}

fn request_to(target: Option<&str>) -> Request<Body> {
    let mut request = request();
    target.map(|name| request.extensions_mut().insert(Target::new(name, "http://host").unwrap()));
    request
}

/// Makes a client for each scene and each number of polls, and drops a call, or the answer that is being read, after so many.
pub(crate) async fn dropped_at_any_await<S, R>(who: &str, make: impl Fn(&Rig) -> S)
where
    S: Service<Request<Body>, Response = Response<R>, Error = Error> + Clone,
    R: http_body::Body,
    R::Error: Into<BoxError>,
{
    for scene in [Scene::Trouble, Scene::Probing, Scene::Silence] {
        let mut polls = 0;
        let mut ended = false;
        while !ended {
            polls += 1;
            assert!(polls <= MOST_POLLS, "{who}, {scene:?}: it is polled without end");
            let rig = Rig::new(scene).await;
            let client = make(&rig);
            // Where no layer sets a limit to silence, we do.
            ended = timeout(60 * MINUTE, polled(ask(&client), polls)).await.unwrap_or(true);
            rig.is_as_new(&client, &format!("{who}, {scene:?}, dropped after {polls} polls")).await;
        }
        assert!(polls > 2, "{who}, {scene:?}: it waited at least for the provider to be ready");
    }
}

/// Whether a future ends within so many polls. It is dropped before this is told.
async fn polled(future: impl Future, polls: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match (future.as_mut().poll(cx), left) {
        (Poll::Ready(_), _) => Poll::Ready(true),
        (Poll::Pending, 1) => Poll::Ready(false),
        (Poll::Pending, _) => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

macro_rules! over_each {
    ($test:ident: $outer:ident over $($inner:ident)*) => {
        #[tokio::test(start_paused = true)]
        async fn $test() {
            $(
                let pair = concat!(stringify!($outer), " over ", stringify!($inner));
                dropped_at_any_await(pair, |rig| rig.$outer.layer(rig.$inner.layer(rig.provider.transport()))).await;
            )*
        }
    };
}

over_each!(call_over_each_other_layer: call over classify retry breaker limiter timeout fallback);
over_each!(classify_over_each_other_layer: classify over call retry breaker limiter timeout fallback);
over_each!(retry_over_each_other_layer: retry over call classify breaker limiter timeout fallback);
over_each!(the_breaker_over_each_other_layer: breaker over call classify retry limiter timeout fallback);
over_each!(the_limiter_over_each_other_layer: limiter over call classify retry breaker timeout fallback);
over_each!(timeout_over_each_other_layer: timeout over call classify retry breaker limiter fallback);
over_each!(fallback_over_each_other_layer: fallback over call classify retry breaker limiter timeout);

#[tokio::test(start_paused = true)]
async fn the_whole_stack() {
    dropped_at_any_await("all layers", |rig| {
        let guarded = rig.breaker.layer(rig.limiter.layer(rig.timeout.layer(rig.classify.layer(rig.provider.transport()))));
        rig.call.layer(TimeoutLayer::call().layer(rig.fallback.layer(rig.retry.layer(guarded))))
    })
    .await;
}
