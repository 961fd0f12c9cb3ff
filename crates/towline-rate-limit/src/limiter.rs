//! One set of limits with its line: the books, who waits, and whose turn it is.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};
use towline_core::Observer;

use crate::{
    books::{Books, Charge, Terms, Wait},
    cost::{Cost, Estimated},
    reservation::Reservation,
    sync::{Mutex, MutexGuard, Notify, Permit, Semaphore},
    too_large::RequestTooLarge,
};

/// Limits, shared by all who must keep them.
#[derive(Debug)]
pub(crate) struct Limiter {
    books: Mutex<Books>,
    /// Held by the head of the line, who alone watches the clock; the others stand in the semaphore's own fair queue.
    turnstile: Semaphore,
    /// Told when something came back, so that the head of the line looks again.
    came_back: Notify,
    /// Told when the gate closes, to those who stand behind.
    closes: Notify,
    observer: Observer,
}

/// How long a line may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_wait: Duration,
    pub(crate) queue: usize,
}

/// What a limiter answers to a request.
pub(crate) enum Entry {
    Admitted(Reservation),
    /// It may stand in line, and will wait about so long.
    Waiting(Place, Duration),
    /// It would have to wait so long.
    Refused(Duration),
    TooLarge(RequestTooLarge),
}

/// A place in line, freed on drop.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
    cost: Cost,
    deadline: Option<Instant>,
    /// How long it waits at most.
    until: Option<Instant>,
    left: bool,
}

/// Why somebody who stood in line was not admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TooLate {
    /// The deadline has passed.
    Passed,
    /// The deadline, or the longest wait, would pass during a further wait of so long.
    Would(Duration),
}

impl Limiter {
    pub(crate) fn new(terms: Terms, observer: Observer, now: Instant) -> Self {
        let (came_back, closes) = (Notify::new(), Notify::new());
        Self { books: Mutex::new(Books::new(terms, now)), turnstile: Semaphore::new(1), came_back, closes, observer }
    }

    /// Admits a request, gives it a place in line, or refuses it. `deadline` is asked only if there is a wait.
    pub(crate) fn enter(
        self: Arc<Self>,
        now: Instant,
        told: Estimated,
        bounds: Bounds,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Entry {
        let mut books = self.books.lock();
        let cost = books.cost_now(told);
        if let Some((dimension, limit)) = books.exceeded_by(cost) {
            return Entry::TooLarge(RequestTooLarge { dimension, cost: cost.of(dimension), limit });
        }
        if let Some(charge) = books.pass(now, cost) {
            drop(books);
            return Entry::Admitted(Reservation::new(self, charge));
        }
        // Before its turn comes tokens may have been limited.
        let cost = books.cost(told);
        let (wait, waiting) = (books.wait_in_line(now, cost), books.line().waiting);
        let deadline = deadline();
        let max_wait = books.terms().max_wait.unwrap_or(bounds.max_wait);
        let nobody_waits = max_wait.is_zero() || waiting >= bounds.queue;
        if nobody_waits || wait.time > max_wait || passes(deadline, now, wait.time) {
            return Entry::Refused(wait.time);
        }
        books.joins(cost);
        drop(books);
        let until = now.checked_add(max_wait);
        Entry::Waiting(Place { limiter: self, cost, deadline, until, left: false }, wait.time)
    }

    /// Charges a request that need not wait, with nobody to give it back.
    pub(crate) fn reserve(&self, now: Instant, told: Estimated) -> Option<Charge> {
        let mut books = self.books.lock();
        let cost = books.cost_now(told);
        if books.exceeded_by(cost).is_some() { None } else { books.pass(now, cost) }
    }

    /// The books, to change them: whoever waits looks again afterwards.
    pub(crate) fn correct(&self, change: impl FnOnce(&mut Books)) {
        let mut books = self.books.lock();
        change(&mut books);
        let somebody_waits = books.line().waiting > 0;
        drop(books);
        if somebody_waits {
            self.came_back.notify_one();
        }
    }

    /// Somebody was told to stop, for so long: whoever waits and has not so much time is to know it now. Returns for how long, if
    /// that is news.
    pub(crate) fn stop(&self, charge: &Charge, hint: Option<Duration>) -> Option<Duration> {
        let mut books = self.books.lock();
        let pause = books.stop(Instant::now(), charge, hint);
        let somebody_waits = books.line().waiting > 0;
        drop(books);
        if somebody_waits && pause.is_some() {
            self.came_back.notify_one();
            self.closes.notify_waiters();
        }
        pause
    }

    /// Who is told what is decided.
    pub(crate) const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The books, to read them.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock()
    }
}

impl Place {
    /// The same place, for whoever waits no longer than until `end`.
    pub(crate) fn until(mut self, end: Option<Instant>) -> Self {
        self.until = self.until.into_iter().chain(end).min();
        self
    }

    /// Waits until it is this one's turn and there are tokens for it.
    ///
    /// It is woken when it becomes the head of the line, when its tokens should be there, and when something came back.
    pub(crate) async fn turn(mut self) -> Result<Reservation, TooLate> {
        let limiter = Arc::clone(&self.limiter);
        let head = self.head(&limiter);
        let _turn = match self.deadline {
            Some(deadline) => timeout_at(deadline, head).await.map_err(|_| TooLate::Passed)??,
            None => head.await?,
        };
        loop {
            match self.look(Instant::now())? {
                Ok(charge) => return Ok(Reservation::new(Arc::clone(&limiter), charge)),
                Err(wait) => drop(timeout(wait, limiter.came_back.notified()).await),
            }
        }
    }

    /// Stands behind the others until it is the head of the line, unless the gate closes for longer than it has time.
    async fn head<'a>(&self, limiter: &'a Limiter) -> Result<Option<Permit<'a>>, TooLate> {
        let mut turn = pin!(limiter.turnstile.acquire());
        loop {
            let mut closes = pin!(limiter.closes.notified());
            let moved = poll_fn(|cx: &mut Context<'_>| {
                if let Poll::Ready(turn) = turn.as_mut().poll(cx) {
                    // The turnstile is never closed; without a turn more would watch the clock, and that is all.
                    return Poll::Ready(Ok(Some(turn.ok())));
                }
                if closes.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(None));
                }
                // Asked when one listens already, so that nothing is missed.
                self.is_shut_out(Instant::now()).map_or(Poll::Pending, |late| Poll::Ready(Err(late)))
            });
            if let Some(turn) = moved.await? {
                return Ok(turn);
            }
        }
    }

    /// Whether the gate stays closed for longer than it has time.
    fn is_shut_out(&self, now: Instant) -> Option<TooLate> {
        let mut books = self.limiter.books.lock();
        if books.closed_for(now).is_zero() {
            return None;
        }
        let wait = books.wait(now, self.cost).time;
        [self.deadline, self.until].into_iter().any(|end| passes(end, now, wait)).then_some(TooLate::Would(wait))
    }

    /// Takes the tokens and leaves the line in one step, so that nobody comes in between; or tells how long it still
    /// takes.
    fn look(&mut self, now: Instant) -> Result<Result<Charge, Duration>, TooLate> {
        let mut books = self.limiter.books.lock();
        let wait = books.wait(now, self.cost);
        if passes(self.deadline, now, wait.time) {
            return Err(if wait.is_over() { TooLate::Passed } else { TooLate::Would(wait.time) });
        }
        if wait.is_over() {
            let charge = books.charge(now, self.cost);
            books.leaves(self.cost);
            self.left = true;
            return Ok(Ok(charge));
        }
        if passes(self.until, now, wait.time) || (wait.for_others && self.until.is_some_and(|until| until <= now)) {
            return Err(TooLate::Would(wait.time));
        }
        Ok(Err(self.patience(now, wait)))
    }

    /// How long to sleep before looking again by oneself.
    fn patience(&self, now: Instant, wait: Wait) -> Duration {
        if !wait.time.is_zero() {
            return wait.time;
        }
        // For others, who will tell when they are done; and not past the end of one's own time.
        let end = [self.until, self.deadline].into_iter().flatten().min();
        // A nanosecond past the deadline is late; the timer knows milliseconds.
        end.map_or(Duration::MAX, |end| end.saturating_duration_since(now).saturating_add(Duration::from_millis(1)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            self.limiter.books.lock().leaves(self.cost);
        }
    }
}

/// Whether a deadline passes before a wait is over.
fn passes(deadline: Option<Instant>, now: Instant, wait: Duration) -> bool {
    deadline.is_some_and(|deadline| wait > deadline.saturating_duration_since(now) || now > deadline)
}

#[cfg(all(test, towline_loom))]
mod races;
