//! Futures and bodies dropped at any point, in all dimensions at once: the books stay exact, and the line empty.

mod common;

use std::time::Duration;

use common::tokens::*;
use http::Response;
use http_body_util::BodyExt;
use tokio_test::task::{Spawn, spawn};
use tower::{Layer, Service};
use towline_core::{Jitter, StreamEnd};
use towline_rate_limit::{Dimension as D, LimitedBody, Limits, RateLimit, ResponseFuture};

/// A request until it is answered, and its answer.
#[allow(clippy::large_enum_variant, reason = "a few dozen at a time")]
enum Open {
    Asking(Spawn<ResponseFuture<Provider, usize>>),
    Answered(Response<LimitedBody<Told>>),
}

struct Churn {
    service: RateLimit<Provider>,
    chance: Jitter,
    open: Vec<Open>,
    dropped: usize,
}

impl Churn {
    fn below(&self, n: usize) -> usize {
        self.chance.up_to(Duration::from_nanos(n as u64 - 1)).subsec_nanos() as usize
    }

    async fn step(&mut self) {
        match self.below(10) {
            0..4 if self.open.len() < 40 => {
                let request = asks(self.below(60) as u64, self.below(60) as u64);
                self.open.push(Open::Asking(spawn(self.service.call(request))));
            }
            4..7 if !self.open.is_empty() => {
                let which = self.below(self.open.len());
                self.go_on(which).await;
            }
            7..9 if !self.open.is_empty() => {
                let which = self.below(self.open.len());
                drop(self.open.swap_remove(which));
                self.dropped += 1;
            }
            _ => tokio::time::advance(self.chance.up_to(Duration::from_millis(30))).await,
        }
    }

    async fn go_on(&mut self, which: usize) {
        match &mut self.open[which] {
            Open::Asking(future) => match future.poll() {
                std::task::Poll::Ready(Ok(response)) => self.open[which] = Open::Answered(response),
                std::task::Poll::Ready(Err(_)) => drop(self.open.swap_remove(which)),
                std::task::Poll::Pending => {}
            },
            Open::Answered(response) => {
                if response.body_mut().frame().await.is_none() {
                    self.open.swap_remove(which);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_drops_at_random_points_leave_exact_books_and_an_empty_line() {
    let limits = Limits::none()
        .requests_per_minute(few(6000))
        .tokens_per_minute(n(600_000))
        .input_tokens_per_minute(n(400_000))
        .output_tokens_per_minute(n(400_000))
        .concurrency(few(20));
    let layer = whole(limits).burst(few(10)).token_burst(n(500)).max_wait(Duration::from_secs(5));
    let handle = layer.handle();
    let ends = [StreamEnd::Complete, StreamEnd::Complete, StreamEnd::Cut, StreamEnd::Dropped];
    let answers = (0..400_000_usize).map(|nth| match nth % 7 {
        0 => Answer { status: 500, ..answer(0, 0) },
        1 => Answer { told: None, ..answer(0, 0) },
        _ => Answer { end: ends[nth % 4].clone(), ..answer(nth as u64 % 90, nth as u64 % 110) },
    });
    let provider = Provider::new(answers);
    let mut churn = Churn { service: layer.layer(provider.clone()), chance: Jitter::seeded(5), open: Vec::new(), dropped: 0 };
    for _ in 0..200 {
        let until = churn.dropped + 500;
        while churn.dropped < until {
            churn.step().await;
        }
        churn.dropped += churn.open.len();
        churn.open.clear();
        assert_eq!((handle.waiting(None), handle.under_way(None)), (0, 0));
        // Whatever was owed has been made good after a while, and nothing is left over.
        tokio::time::advance(Duration::from_secs(60)).await;
        let left =
            [D::Requests, D::Tokens, D::InputTokens, D::OutputTokens, D::Concurrency].map(|of| handle.left(None, of).unwrap());
        assert_eq!(left, [10, 500, 500, 500, 20]);
    }
    assert!(churn.dropped >= 100_000 && provider.asked().len() > 5000, "{} came through", provider.asked().len());
}
