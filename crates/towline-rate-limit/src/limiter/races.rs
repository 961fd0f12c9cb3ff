//! Each order in which threads can meet at the books, the line and the gate, tried one after the other by loom:
//! `RUSTFLAGS="--cfg towline_loom" cargo test -p towline-rate-limit --release --lib races`.
//!
//! The clock stands still unless a test moves it, and no timer ever fires: who waits goes on because somebody told it to, or
//! loom finds that nobody can.

use std::{
    num::{NonZeroU32, NonZeroU64},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::thread::{self, JoinHandle};
use towline_core::Usage;

use super::*;
use crate::{Dimension as D, Limits, Profile};

type Turn = Pin<Box<dyn Future<Output = Result<Reservation, TooLate>>>>;

const ONE: Estimated = asks(1);
/// No race needs more switches to be seen, and each more makes many more orders.
const SWITCHES: usize = 4;

/// Whether somebody was woken. loom's own parking forgets it where the thread has to wait for a lock in between.
struct Woken(loom::sync::Mutex<bool>, loom::sync::Condvar);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

/// Tries all orders with a clock that stands still.
fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(SWITCHES);
    orders.check(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _clock = runtime.enter();
        test();
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let woken = Arc::new(Woken(loom::sync::Mutex::new(false), loom::sync::Condvar::new()));
    let (waker, mut future) = (Waker::from(Arc::clone(&woken)), pin!(future));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        let mut was = woken.0.lock().unwrap();
        while !*was {
            was = woken.1.wait(was).unwrap();
        }
        *was = false;
    }
}

fn poll(turn: &mut Turn) -> Poll<Result<Reservation, TooLate>> {
    turn.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The clock goes on, and all that is due looks at it.
fn advance(limiter: &Limiter, by: Duration) {
    let _yielded = pin!(tokio::time::advance(by)).poll(&mut Context::from_waker(Waker::noop()));
    limiter.came_back.notify_one();
}

const fn asks(tokens: u64) -> Estimated {
    Estimated { input: Some(tokens), max_output: Some(0) }
}

fn few(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn limiter(limits: Limits) -> Arc<Limiter> {
    let terms = Terms {
        limits,
        profile: Profile::Bedrock,
        thousandths: 1000,
        burst: Some(1),
        token_burst: Some(100),
        find: false,
        max_wait: None,
    };
    Arc::new(Limiter::new(terms, Observer::none(), Instant::now()))
}

fn one_at_once() -> Arc<Limiter> {
    limiter(Limits::none().concurrency(few(1)))
}

fn enter(limiter: &Arc<Limiter>, told: Estimated) -> Entry {
    let bounds = Bounds { max_wait: Duration::from_secs(3600), queue: 10 };
    Arc::clone(limiter).enter(Instant::now(), told, bounds, || None)
}

fn admitted(entry: Entry) -> Reservation {
    match entry {
        Entry::Admitted(reservation) => reservation,
        _ => panic!("it has to wait"),
    }
}

/// A turn that has taken its place in line.
fn in_line(limiter: &Arc<Limiter>, told: Estimated) -> Turn {
    let Entry::Waiting(place, _) = enter(limiter, told) else { panic!("it need not wait") };
    let mut turn: Turn = Box::pin(place.turn());
    assert!(poll(&mut turn).is_pending());
    turn
}

/// Passes at once or in its turn.
fn pass(limiter: &Arc<Limiter>, told: Estimated) -> Reservation {
    match enter(limiter, told) {
        Entry::Admitted(reservation) => reservation,
        Entry::Waiting(place, _) => block_on(place.turn()).unwrap(),
        _ => panic!("it is refused"),
    }
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn left(limiter: &Limiter, dimension: D) -> u64 {
    limiter.books().left(Instant::now(), dimension).unwrap()
}

fn waiting(limiter: &Limiter) -> usize {
    limiter.books().line().waiting
}

fn under_way(limiter: &Limiter) -> u64 {
    limiter.books().under_way()
}

#[test]
fn of_three_that_race_for_the_last_token_one_gets_it_and_the_others_are_charged_nothing() {
    model(|| {
        let tokens = NonZeroU64::new(6000).unwrap();
        let limiter = limiter(Limits::none().requests_per_minute(few(60)).tokens_per_minute(tokens));
        let race = || {
            let limiter = Arc::clone(&limiter);
            let bounds = Bounds { max_wait: Duration::ZERO, queue: 0 };
            thread::spawn(move || match Arc::clone(&limiter).enter(Instant::now(), asks(10), bounds, || None) {
                Entry::Admitted(mut reservation) => {
                    reservation.sent();
                    Some(reservation)
                }
                _ => None,
            })
        };
        let passed: Vec<_> = join([race(), race(), race()]).into_iter().flatten().collect();
        assert_eq!((passed.len(), left(&limiter, D::Requests), left(&limiter, D::Tokens)), (1, 0, 90));
        assert_eq!(under_way(&limiter), 1);
    });
}

#[test]
fn what_is_granted_to_a_waiter_that_is_being_dropped_goes_to_the_next() {
    model(|| {
        let limiter = one_at_once();
        let holder = admitted(enter(&limiter, ONE));
        let (mut leaves, stays) = (in_line(&limiter, ONE), in_line(&limiter, ONE));
        let ends = thread::spawn(move || drop(holder));
        let leaves = thread::spawn(move || {
            // It may have been granted by now, and may have heard of it.
            drop(poll(&mut leaves));
            drop(leaves);
        });
        block_on(stays).unwrap().sent();
        join([ends, leaves]);
        assert_eq!((waiting(&limiter), under_way(&limiter)), (0, 0));
    });
}

#[test]
fn nobody_passes_a_gate_that_was_closed_and_each_in_line_is_let_out_once() {
    const PAUSE: Duration = Duration::from_secs(2);
    model(|| {
        let limiter = limiter(Limits::none().requests_per_minute(few(6000)).requests_per_day(few(1000)));
        let first = pass(&limiter, ONE);
        let began = Instant::now();
        let in_line = in_line(&limiter, ONE);
        let closed = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let asks = |turn: Option<Turn>| {
            let (limiter, closed) = (Arc::clone(&limiter), Arc::clone(&closed));
            thread::spawn(move || {
                let was_closed = turn.is_none() && closed.load(loom::sync::atomic::Ordering::Acquire);
                let mut reservation = turn.map_or_else(|| pass(&limiter, ONE), |turn| block_on(turn).unwrap());
                reservation.sent();
                let at = Instant::now();
                assert!(!(reservation.charge().reopens && at - began < PAUSE), "the first since the stop, and too soon");
                // In the place of the next one's timer.
                advance(&limiter, 2 * PAUSE);
                (was_closed, at - began)
            })
        };
        let asked = [asks(Some(in_line)), asks(None)];
        // The head of the line finds its token, or the gate closed.
        advance(&limiter, Duration::from_millis(20));
        let _pause = limiter.stop(first.charge(), Some(PAUSE));
        closed.store(true, loom::sync::atomic::Ordering::Release);
        // Open, and long enough for a token.
        advance(&limiter, 2 * PAUSE);
        let passed = join(asked);
        let within = |(was_closed, at): &&(bool, Duration)| *was_closed && *at < PAUSE + Duration::from_millis(20);
        assert_eq!(passed.iter().find(within), None, "{passed:?}");
        assert_eq!((waiting(&limiter), left(&limiter, D::RequestsPerDay)), (0, 97), "of a hundred at once");
    });
}

#[test]
fn who_comes_to_stand_behind_while_the_gate_closes_hears_of_it() {
    model(|| {
        let limiter = limiter(Limits::none().requests_per_minute(few(6000)));
        let first = pass(&limiter, ONE);
        let head = in_line(&limiter, ONE);
        let stops = {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || limiter.stop(first.charge(), Some(Duration::from_secs(60))))
        };
        let bounds = Bounds { max_wait: Duration::from_secs(1), queue: 10 };
        let late = match Arc::clone(&limiter).enter(Instant::now(), ONE, bounds, || None) {
            Entry::Waiting(place, _) => matches!(block_on(place.turn()), Err(TooLate::Would(_))),
            entry => matches!(entry, Entry::Refused(_)),
        };
        assert!(late && stops.join().unwrap().is_some());
        drop(head);
        assert_eq!(waiting(&limiter), 0);
    });
}

#[test]
fn what_is_settled_while_another_asks_is_there_for_it() {
    model(|| {
        let limiter = limiter(Limits::none().tokens_per_minute(NonZeroU64::new(6000).unwrap()));
        let first = admitted(enter(&limiter, asks(100)));
        let settles = {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || {
                let mut usage = Usage::default();
                (usage.input_tokens, usage.output_tokens) = (Some(30), Some(10));
                let now = Instant::now();
                limiter.correct(|books| books.used(now, first.charge(), &usage));
                first
            })
        };
        let mut second = pass(&limiter, asks(60));
        second.sent();
        let mut first = settles.join().unwrap();
        first.sent();
        assert_eq!((left(&limiter, D::Tokens), under_way(&limiter)), (0, 2));
    });
}

#[test]
fn who_stands_in_line_passes_in_order_and_before_whoever_comes_later() {
    model(|| {
        let limiter = one_at_once();
        let holder = admitted(enter(&limiter, ONE));
        let order = Arc::new(loom::sync::Mutex::new(Vec::new()));
        let stands = |number: usize, turn: Turn| {
            let order = Arc::clone(&order);
            thread::spawn(move || {
                let passed = block_on(turn).unwrap();
                order.lock().unwrap().push(number);
                drop(passed);
            })
        };
        let (first, second) = (in_line(&limiter, ONE), in_line(&limiter, ONE));
        let threads = [stands(1, first), stands(2, second)];
        drop(holder);
        let late = pass(&limiter, ONE);
        assert_eq!(*order.lock().unwrap(), [1, 2]);
        drop(late);
        join(threads);
        assert_eq!((waiting(&limiter), under_way(&limiter)), (0, 0));
    });
}
