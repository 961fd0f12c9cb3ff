//! Futures dropped at any point: the books stay exact, and the line empty.

mod common;

use std::{
    convert::Infallible,
    future::{Pending, pending},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use common::{burst, whole};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_test::task::{Spawn, spawn};
use tower::{Layer, Service};
use towline_core::Jitter;
use towline_rate_limit::{RateLimit, ResponseFuture};

/// 600 a minute, as nanoseconds for each.
const TOKEN: u128 = 100_000_000;
const BURST: u32 = 5;

/// Becomes ready for every other request only, never answers, and notes who was admitted and who was sent, and when.
#[derive(Clone, Default)]
struct Beneath(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// Admissions, by the number of the request that is being polled.
    admitted: Vec<usize>,
    polling: usize,
    sent: Vec<Instant>,
}

impl Service<Request<usize>> for Beneath {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pending<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut notes = self.0.lock();
        let polling = notes.polling;
        if !notes.admitted.contains(&polling) {
            notes.admitted.push(polling);
        }
        if polling.is_multiple_of(2) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<usize>) -> Self::Future {
        self.0.lock().sent.push(Instant::now());
        pending()
    }
}

type Waiting = (usize, Spawn<ResponseFuture<Beneath, usize>>);

/// Calls, polls, drops and lets time pass at random until `drops` futures have been dropped, all of them in the end.
async fn churn(service: &mut RateLimit<Beneath>, notes: &Arc<Mutex<Notes>>, chance: &Jitter, drops: usize) {
    let mut open: Vec<Waiting> = Vec::new();
    let below = |n: usize| chance.up_to(Duration::from_nanos(n as u64 - 1)).subsec_nanos() as usize;
    let poll = |(number, future): &mut Waiting| {
        notes.lock().polling = *number;
        assert!(future.poll().is_pending());
    };
    let (mut number, mut dropped) = (0, 0);
    while dropped < drops {
        match below(8) {
            0..3 if open.len() < 30 && number < drops => {
                // The service beneath may be asked within the call.
                notes.lock().polling = number;
                open.push((number, spawn(service.call(Request::new(number)))));
                open.last_mut().iter_mut().for_each(|waiting| poll(waiting));
                number += 1;
            }
            3..5 if !open.is_empty() => {
                let which = below(open.len());
                poll(&mut open[which]);
            }
            5..7 if !open.is_empty() => {
                drop(open.swap_remove(below(open.len())));
                dropped += 1;
            }
            _ => tokio::time::advance(chance.up_to(Duration::from_millis(400))).await,
        }
    }
}

/// What 600 a minute have left after these requests, and these alone.
fn left_after(sent: &[Instant], now: Instant) -> u128 {
    let full = u128::from(BURST) * TOKEN;
    let (mut missing, mut at) = (0_u128, sent.first().copied().unwrap_or(now));
    for sent in sent {
        missing = missing.saturating_sub((*sent - at).as_nanos()) + TOKEN;
        assert!(missing <= full, "more were sent than the limit allows");
        at = *sent;
    }
    (full - missing.saturating_sub((now - at).as_nanos())) / TOKEN
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_drops_at_random_points_leave_exact_books_and_an_empty_line() {
    let beneath = Beneath::default();
    let layer = whole(600).burst(burst(BURST));
    let (mut service, chance) = (layer.layer(beneath.clone()), Jitter::seeded(20));
    for _ in 0..100 {
        churn(&mut service, &beneath.0, &chance, 100).await;
        assert_eq!(layer.handle().waiting(None), 0);
        let mut notes = beneath.0.lock();
        assert_eq!(u128::from(layer.handle().available(None)), left_after(&notes.sent, Instant::now()));
        assert!(notes.admitted.is_sorted(), "first come, first served: {:?}", notes.admitted);
        notes.admitted.clear();
    }
    assert!(beneath.0.lock().sent.len() > 1000, "some came through: {}", beneath.0.lock().sent.len());
}
