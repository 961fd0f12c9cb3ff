//! One limit with its line: the bucket, who waits, and whose turn it is.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

use crate::bucket::{Bucket, Charge, Rate};

/// What one request costs.
const COST: u64 = 1;

/// One limit, shared by all who must keep it.
#[derive(Debug)]
pub(crate) struct Limiter {
    books: Mutex<Books>,
    /// Held by the head of the line, who alone watches the clock; the others stand in the semaphore's own fair queue.
    turnstile: Semaphore,
    /// Told when something came back, so that the head of the line looks again.
    came_back: Notify,
}

#[derive(Debug)]
struct Books {
    bucket: Bucket,
    /// How many stand in line, the head included. While there are any, nobody passes them by.
    waiting: usize,
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
}

/// What a request was charged; given back on drop, unless the request was sent.
#[derive(Debug)]
pub(crate) struct Reservation {
    limiter: Arc<Limiter>,
    charge: Charge,
    sent: bool,
}

/// A place in line, freed on drop.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
    deadline: Option<Instant>,
    left: bool,
}

/// Why somebody who stood in line was not admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TooLate {
    /// The deadline has passed.
    Passed,
    /// It would pass during a further wait of so long.
    Would(Duration),
}

impl Limiter {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let books = Books { bucket: Bucket::new(rate, now), waiting: 0 };
        Self { books: Mutex::new(books), turnstile: Semaphore::new(1), came_back: Notify::new() }
    }

    /// Admits a request, gives it a place in line, or refuses it. `deadline` is asked only if there is a wait.
    pub(crate) fn enter(self: Arc<Self>, now: Instant, bounds: Bounds, deadline: impl FnOnce() -> Option<Instant>) -> Entry {
        let mut books = self.books.lock();
        if books.waiting == 0
            && let Ok(charge) = books.bucket.reserve(now, COST)
        {
            drop(books);
            return Entry::Admitted(Reservation { limiter: self, charge, sent: false });
        }
        let ahead = u64::try_from(books.waiting).unwrap_or(u64::MAX).saturating_mul(COST);
        let wait = books.bucket.wait(now, ahead, COST);
        let deadline = deadline();
        if wait > bounds.max_wait || books.waiting >= bounds.queue || passes(deadline, now, wait) {
            return Entry::Refused(wait);
        }
        books.waiting += 1;
        drop(books);
        Entry::Waiting(Place { limiter: self, deadline, left: false }, wait)
    }

    fn give_back(&self, charge: &Charge, now: Instant) {
        let mut books = self.books.lock();
        books.bucket.refund(now, charge);
        let somebody_waits = books.waiting > 0;
        drop(books);
        if somebody_waits {
            self.came_back.notify_one();
        }
    }

    /// How many requests could pass at once; none if somebody waits.
    pub(crate) fn available(&self, now: Instant) -> u64 {
        let mut books = self.books.lock();
        if books.waiting == 0 { books.bucket.available(now) / COST } else { 0 }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.books.lock().waiting
    }
}

impl Reservation {
    /// The request is sent: its charge stays, whatever comes of it.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// It turned out that the request never left: its charge is given back.
    pub(crate) fn never_sent(mut self) {
        self.sent = false;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.sent {
            self.limiter.give_back(&self.charge, Instant::now());
        }
    }
}

impl Place {
    /// Waits until it is this one's turn and there is a token for it.
    ///
    /// It is woken when it becomes the head of the line, when its token should be there, and when something came back.
    pub(crate) async fn turn(mut self) -> Result<Reservation, TooLate> {
        let limiter = Arc::clone(&self.limiter);
        // It is never closed, so the error is none that can come; without a turn there would be more watching the clock, no more.
        let _turn = limiter.turnstile.acquire().await;
        loop {
            match self.look(Instant::now())? {
                Ok(charge) => return Ok(Reservation { limiter: Arc::clone(&limiter), charge, sent: false }),
                Err(wait) => drop(timeout(wait, limiter.came_back.notified()).await),
            }
        }
    }

    /// Takes the token and leaves the line in one step, so that nobody comes in between; or tells how long it still
    /// takes.
    fn look(&mut self, now: Instant) -> Result<Result<Charge, Duration>, TooLate> {
        let mut books = self.limiter.books.lock();
        let wait = books.bucket.wait(now, 0, COST);
        if passes(self.deadline, now, wait) {
            return Err(if wait.is_zero() { TooLate::Passed } else { TooLate::Would(wait) });
        }
        let charge = books.bucket.reserve(now, COST);
        if charge.is_ok() {
            books.waiting = books.waiting.saturating_sub(1);
            self.left = true;
        }
        Ok(charge)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            let mut books = self.limiter.books.lock();
            books.waiting = books.waiting.saturating_sub(1);
        }
    }
}

/// Whether a deadline passes before a wait is over.
fn passes(deadline: Option<Instant>, now: Instant, wait: Duration) -> bool {
    deadline.is_some_and(|deadline| wait > deadline.saturating_duration_since(now) || now > deadline)
}
