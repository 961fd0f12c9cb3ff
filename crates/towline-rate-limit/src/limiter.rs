//! One set of limits with its line: the books, who waits, and whose turn it is.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use towline_core::Observer;

use crate::{
    books::{Books, Charge, Terms, Wait},
    cost::{Cost, Estimated},
    reservation::Reservation,
    sync::{Mutex, MutexGuard, Notify, Semaphore},
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
        Self { books: Mutex::new(Books::new(terms, now)), turnstile: Semaphore::new(1), came_back: Notify::new(), observer }
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
        let nobody_waits = bounds.max_wait.is_zero() || waiting >= bounds.queue;
        if nobody_waits || wait.time > bounds.max_wait || passes(deadline, now, wait.time) {
            return Entry::Refused(wait.time);
        }
        books.joins(cost);
        drop(books);
        let until = now.checked_add(bounds.max_wait);
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
    /// Waits until it is this one's turn and there are tokens for it.
    ///
    /// It is woken when it becomes the head of the line, when its tokens should be there, and when something came back.
    pub(crate) async fn turn(mut self) -> Result<Reservation, TooLate> {
        let limiter = Arc::clone(&self.limiter);
        // It is never closed, so the error is none that can come; without a turn there would be more watching the clock, no more.
        let _turn = limiter.turnstile.acquire().await;
        loop {
            match self.look(Instant::now())? {
                Ok(charge) => return Ok(Reservation::new(Arc::clone(&limiter), charge)),
                Err(wait) => drop(timeout(wait, limiter.came_back.notified()).await),
            }
        }
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
