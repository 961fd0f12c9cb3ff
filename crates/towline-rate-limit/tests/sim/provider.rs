//! Providers that count in their own ways what each request really uses, which nobody else knows before its answer has ended.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use towline_core::{Call, Jitter, StreamHandle, Usage};

/// How a limit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// A bucket of a minute's worth that fills steadily.
    Refills,
    /// Each window of so many seconds has its share of the minute, which is not carried over.
    Resets(u64),
}

/// What a provider enforces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Requests a minute.
    pub(crate) requests: Option<(u32, Window)>,
    /// Tokens a minute.
    pub(crate) tokens: (u32, Window),
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tokens: f64,
    pub(crate) served: u64,
    pub(crate) refused: u64,
}

/// One provider, which counts from when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    state: Arc<Mutex<State>>,
    chance: Jitter,
}

#[derive(Debug)]
struct State {
    requests: Option<Meter>,
    tokens: Meter,
    counts: Counts,
}

#[derive(Debug)]
struct Meter {
    per_second: f64,
    window: Window,
    began: Instant,
    left: f64,
    at: Instant,
}

/// What a request uses of its estimate in the mean, as the factors below are spread: 4.8 / ln 25.
pub(crate) const MEAN: f64 = 1.4912;

impl Meter {
    fn new((per_minute, window): (u32, Window), began: Instant) -> Self {
        let mut meter = Self { per_second: f64::from(per_minute) / 60.0, window, began, left: 0.0, at: began };
        meter.left = meter.most();
        meter
    }

    fn most(&self) -> f64 {
        match self.window {
            Window::Refills => self.per_second * 60.0,
            Window::Resets(seconds) => self.per_second * seconds as f64,
        }
    }

    /// How long until `amount` is there, if it is not.
    fn lacks(&mut self, now: Instant, amount: f64) -> Option<Duration> {
        let most = self.most();
        let wait = match self.window {
            Window::Refills => {
                self.left = (self.left + (now - self.at).as_secs_f64() * self.per_second).min(most);
                Duration::from_secs_f64((amount - self.left).max(0.0) / self.per_second)
            }
            Window::Resets(seconds) => {
                let nth = |at: Instant| (at - self.began).as_secs() / seconds;
                if nth(now) > nth(self.at) {
                    self.left = most;
                }
                Duration::from_secs(seconds * (nth(now) + 1)) - (now - self.began)
            }
        };
        self.at = now;
        (self.left < amount).then_some(wait)
    }
}

impl Provider {
    pub(crate) fn new(rules: Rules, seed: u64) -> Self {
        let began = Instant::now();
        let requests = rules.requests.map(|limit| Meter::new(limit, began));
        let state = State { requests, tokens: Meter::new(rules.tokens, began), counts: Counts::default() };
        Self { state: Arc::new(Mutex::new(state)), chance: Jitter::seeded(seed) }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Answers within half a second to three and a half, and tells at the end what was used; or refuses at once.
    pub(crate) async fn ask(self, request: Request<usize>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let estimated = Call::of(request.extensions()).map_or(0, |call| call.facts().input_tokens);
        let used = (estimated as f64 * self.factor()).round();
        let took = Duration::from_millis(500) + self.chance.up_to(Duration::from_secs(3));
        let mut response = Response::new(Empty::new());
        sleep(self.on_its_way()).await;
        if let Some(wait) = self.refuses(used) {
            sleep(self.on_its_way()).await;
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            response.headers_mut().insert("retry-after-ms", HeaderValue::from(ms));
            return Ok(response);
        }
        sleep(took).await;
        let (handle, mut usage) = (StreamHandle::new(Instant::now()), Usage::default());
        (usage.input_tokens, usage.output_tokens) = (Some(used as u64), Some(0));
        handle.record_usage(usage);
        response.extensions_mut().insert(handle);
        Ok(response)
    }

    /// 10 to 30 ms.
    fn on_its_way(&self) -> Duration {
        Duration::from_millis(10) + self.chance.up_to(Duration::from_millis(20))
    }

    /// 0.2 to 5 times, as often above one as below.
    fn factor(&self) -> f64 {
        5_f64.powf(2.0 * self.chance.up_to(Duration::from_secs(1)).as_secs_f64() - 1.0)
    }

    fn refuses(&self, used: f64) -> Option<Duration> {
        let (now, mut state) = (Instant::now(), self.state.lock());
        let state = &mut *state;
        let requests = state.requests.as_mut().and_then(|meter| meter.lacks(now, 1.0));
        let lacks = requests.max(state.tokens.lacks(now, used));
        if lacks.is_some() {
            state.counts.refused += 1;
            return lacks;
        }
        state.requests.iter_mut().for_each(|meter| meter.left -= 1.0);
        state.tokens.left -= used;
        state.counts.tokens += used;
        state.counts.served += 1;
        None
    }
}
