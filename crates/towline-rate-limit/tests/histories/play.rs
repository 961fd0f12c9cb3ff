//! Random histories of calls on a clock that stands still: on the layer, and step by step on the reference.
//!
//! Whatever comes from outside comes at half a millisecond, and whoever waits for time goes on at a whole one, as tokio's timer has
//! it: so nothing ever happens at once with something else.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinHandle, task::yield_now, time::Instant};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use towline_core::{Error, Failure, FailureKind, Jitter, StreamEnd, StreamHandle, Usage};
use towline_rate_limit::{Limits, Profile, RateLimitHandle};

use super::reference::{ALL, BURST, Cost, MS, QUEUE, Reference, TOKEN_BURST};
use crate::common::{
    burst,
    tokens::{asks, few, n, whole},
};

/// What becomes of a request that has passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Used(Cost),
    BrokeOff(Cost),
    /// Nothing is told of what it used.
    Silent,
    /// Refused before any content.
    Refused,
    /// Told to stop for so many milliseconds.
    Stopped(u64),
    /// It could not be sent.
    Unsent,
    /// Whoever asked has left.
    Dropped,
}

/// One who asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) cost: Cost,
    task: JoinHandle<()>,
    pub(crate) was_refused: bool,
    pub(crate) fate: Option<Fate>,
    pub(crate) left_the_line: bool,
}

/// All that happened.
pub(crate) struct History {
    pub(crate) limits: Limits,
    pub(crate) asked: Vec<Asked>,
    /// Who passed, and when, in nanoseconds.
    pub(crate) passed: Vec<(usize, u128)>,
    /// From when until when everybody had to stop, and how many had passed before.
    pub(crate) stops: Vec<(u128, u128, usize)>,
    pub(crate) most_at_once: usize,
}

type Answer = Result<Response<String>, Error>;
type Desk = Arc<Mutex<Vec<(usize, Instant, Option<oneshot::Sender<Answer>>)>>>;

struct Player {
    began: Instant,
    ms: u64,
    chance: Jitter,
    desk: Desk,
    service: BoxCloneService<Request<usize>, (), Error>,
    handle: RateLimitHandle,
    reference: Reference,
    history: History,
}

/// Every combination, by its bits.
fn limits(of: u8) -> Limits {
    let add = |limits: Limits, bit: u8, with: fn(Limits) -> Limits| if of & (1 << bit) == 0 { limits } else { with(limits) };
    let limits = add(Limits::none(), 0, |limits| limits.requests_per_minute(few(1200)));
    let limits = add(limits, 1, |limits| limits.tokens_per_minute(n(60_000)));
    let limits = add(limits, 2, |limits| limits.input_tokens_per_minute(n(30_000)));
    let limits = add(limits, 3, |limits| limits.output_tokens_per_minute(n(40_000)));
    let limits = add(limits, 4, |limits| limits.requests_per_day(few(600)));
    let limits = add(limits, 5, |limits| limits.tokens_per_day(n(30_000)));
    add(limits, 6, |limits| limits.concurrency(few(4)))
}

/// A history of so many steps with these limits, by chance; all who asked are served in the end, or have left.
pub(crate) fn play(of: u8, seed: u64, steps: usize) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut player = Player::new(limits(of), seed);
        tokio::time::advance(Duration::from_micros(500)).await;
        for _ in 0..steps {
            player.step().await;
            player.compare();
        }
        player.finish().await;
        player.history
    })
}

impl Player {
    fn new(limits: Limits, seed: u64) -> Self {
        let desk = Desk::default();
        let at = Arc::clone(&desk);
        let provider = service_fn(move |request: Request<usize>| {
            let (answers, answer) = oneshot::channel();
            at.lock().push((*request.body(), Instant::now(), Some(answers)));
            async move { answer.await.unwrap_or_else(|_| Err(Error::new(Failure::new(FailureKind::Unknown)))) }
        });
        let layer = whole(limits).profile(Profile::Bedrock).burst(burst(BURST)).token_burst(n(TOKEN_BURST));
        let layer = layer.queue(QUEUE).max_wait(Duration::from_secs(86_400 * 100));
        let whole = |response: Response<_>| async move {
            drop(BodyExt::collect(response.into_body()).await);
            Ok(())
        };
        let history = History { limits, asked: Vec::new(), passed: Vec::new(), stops: Vec::new(), most_at_once: 0 };
        Self {
            began: Instant::now(),
            ms: 0,
            chance: Jitter::seeded(seed),
            desk,
            handle: layer.handle(),
            service: BoxCloneService::new(layer.layer(provider).and_then(whole)),
            reference: Reference::new(limits),
            history,
        }
    }

    fn below(&self, n: u64) -> u64 {
        self.chance.up_to(Duration::from_nanos(n - 1)).subsec_nanos().into()
    }

    async fn step(&mut self) {
        let under_way = self.under_way();
        match self.below(16) {
            0..6 => {
                let cost = (1 + self.below(40), self.below(45));
                self.ask(cost).await;
            }
            6..12 if !under_way.is_empty() => {
                let (of, fate) = (under_way[self.below(under_way.len() as u64) as usize], self.fate());
                self.end(of, fate).await;
            }
            12 if self.reference.waiting() > 0 => {
                let waiting = self.waiting();
                self.leave(waiting[self.below(waiting.len() as u64) as usize]).await;
            }
            13 => self.pass(1 + self.below(3000)).await,
            _ => self.pass(1 + self.below(60)).await,
        }
    }

    fn fate(&self) -> Fate {
        let used = (self.below(60), self.below(80));
        match self.below(20) {
            0..9 => Fate::Used(used),
            9..11 => Fate::BrokeOff(used),
            11..13 => Fate::Silent,
            13..15 => Fate::Refused,
            15 => Fate::Stopped(1 + self.below(1500)),
            16..18 => Fate::Unsent,
            _ => Fate::Dropped,
        }
    }

    fn now(&self) -> u128 {
        u128::from(self.ms) * MS + MS / 2
    }

    async fn ask(&mut self, cost: Cost) {
        let id = self.history.asked.len();
        let mut request = asks(cost.0, cost.1);
        *request.body_mut() = id;
        let asked = self.service.clone().oneshot(request);
        let task = tokio::spawn(async move { drop(asked.await) });
        let was_refused = !self.reference.ask(self.now(), id, cost);
        self.history.asked.push(Asked { cost, task, was_refused, fate: None, left_the_line: false });
        self.settle().await;
    }

    async fn end(&mut self, id: usize, fate: Fate) {
        let now = self.now();
        let answers = self.desk.lock().iter_mut().find(|(of, ..)| *of == id).and_then(|(.., answers)| answers.take()).unwrap();
        let all = |(input, output): Cost| [0, input + output, input, output, 0, input + output];
        match fate {
            Fate::Used(used) => self.reference.settle(now, id, |_| all(used)),
            Fate::BrokeOff((input, output)) => self.reference.settle(now, id, |charged| {
                let (told, charged) = (all((input, output)), all(charged));
                std::array::from_fn(|of| told[of].max(charged[of]))
            }),
            Fate::Silent | Fate::Dropped => self.reference.settle(now, id, all),
            Fate::Refused => self.reference.settle(now, id, |_| [0; 6]),
            Fate::Unsent => self.reference.undo(id),
            Fate::Stopped(ms) => {
                let opens = now + u128::from(ms) * MS;
                self.reference.stop(now, id, opens);
                self.reference.settle(now, id, |_| [0; 6]);
                self.history.stops.push((now, opens, self.reference.passed.len()));
            }
        }
        if fate == Fate::Dropped {
            self.history.asked[id].task.abort();
        } else {
            answers.send(answer(fate)).unwrap();
        }
        // Something came back, or may have; where the end of an answer changes nothing, nobody is woken.
        if fate == Fate::Unsent || self.reference.counts_until_the_end() {
            self.reference.look(now);
        }
        self.history.asked[id].fate = Some(fate);
        self.settle().await;
    }

    async fn leave(&mut self, id: usize) {
        if self.reference.leaves(id) {
            self.reference.look(self.now());
        }
        self.history.asked[id].task.abort();
        self.history.asked[id].left_the_line = true;
        self.settle().await;
    }

    /// Everybody who was woken does what can be done now.
    async fn settle(&mut self) {
        for _ in 0..3 * QUEUE {
            yield_now().await;
        }
        self.history.most_at_once = self.history.most_at_once.max(self.under_way().len());
    }

    /// Time passes, until half a millisecond later than so many.
    async fn pass(&mut self, ms: u64) {
        let until = self.now() + u128::from(ms) * MS;
        let mut now = self.now();
        while let Some(next) = self.reference.next(now).filter(|next| *next < until) {
            // A millisecond before nobody passes.
            self.go_to(now.max(next - MS)).await;
            self.go_to(next).await;
            self.reference.look(next);
            now = next;
        }
        self.ms += ms;
        self.go_to(until).await;
    }

    async fn go_to(&mut self, nanos: u128) {
        let at = self.began + Duration::from_nanos(u64::try_from(nanos).unwrap());
        tokio::time::advance(at - Instant::now()).await;
        self.settle().await;
    }

    /// Whoever is under way ends well, until nobody waits.
    async fn finish(&mut self) {
        for _ in 0..1000 {
            while let Some(id) = self.under_way().first().copied() {
                let (input, output) = self.history.asked[id].cost;
                self.end(id, Fate::Used((input / 2, output / 2))).await;
                self.compare();
            }
            let Some(next) = self.reference.next(self.now()) else { break };
            self.pass(u64::try_from(next / MS).unwrap() - self.ms).await;
            self.compare();
        }
        assert_eq!((self.reference.waiting(), self.under_way().len()), (0, 0), "somebody waits for ever");
        self.history.passed = self.passed();
    }

    fn passed(&self) -> Vec<(usize, u128)> {
        self.desk.lock().iter().map(|(id, at, _)| (*id, (*at - self.began).as_nanos())).collect()
    }

    fn under_way(&self) -> Vec<usize> {
        self.desk.lock().iter().filter(|(.., answers)| answers.is_some()).map(|(id, ..)| *id).collect()
    }

    fn waiting(&self) -> Vec<usize> {
        let passed: Vec<_> = self.desk.lock().iter().map(|(id, ..)| *id).collect();
        let waits = |(id, asked): &(usize, &Asked)| !asked.was_refused && !asked.left_the_line && !passed.contains(id);
        self.history.asked.iter().enumerate().filter(waits).map(|(id, _)| id).collect()
    }

    fn compare(&self) {
        assert_eq!(self.passed(), self.reference.passed, "who passed, and when");
        assert_eq!(self.handle.waiting(None), self.reference.waiting());
        assert_eq!(self.handle.under_way(None), self.reference.under_way);
        for dimension in ALL {
            let left = self.reference.left(self.now(), dimension);
            assert_eq!(self.handle.left(None, dimension), left, "{dimension} at {} ms", self.ms);
        }
    }
}

fn answer(fate: Fate) -> Answer {
    let (mut response, handle) = (Response::new(String::from("content")), StreamHandle::new(Instant::now()));
    match fate {
        Fate::Used((input, output)) | Fate::BrokeOff((input, output)) => {
            let mut usage = Usage::default();
            (usage.input_tokens, usage.output_tokens) = (Some(input), Some(output));
            handle.record_usage(usage);
            handle.settle(if matches!(fate, Fate::Used(_)) { StreamEnd::Complete } else { StreamEnd::Cut });
            response.extensions_mut().insert(handle);
        }
        Fate::Refused => *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
        Fate::Stopped(ms) => {
            *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert("retry-after-ms", http::HeaderValue::from(ms));
        }
        Fate::Unsent => return Err(Error::new(Failure::new(FailureKind::Connect))),
        Fate::Silent | Fate::Dropped => {}
    }
    Ok(response)
}
