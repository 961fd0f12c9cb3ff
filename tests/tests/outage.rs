//! What an outage leaves behind: with a budget that successes pay for, and work that is dropped when nobody waits for it any more, nothing.
//!
//! (Edge case 8.) The numbers are those of the published experiment on metastable failure: a server that does 300 requests a second is offered 280; for ten seconds
//! it does nothing; callers give up after a second and try once more. Everything in paused time, through the real layers.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use http::{Request, Response};
use tokio::{sync::oneshot, task::LocalSet, time::Instant};
use tower::{Layer, Service, ServiceExt};
use towline::{BoxError, Jitter, RetryBudget, RetryLayer, TimeoutLayer};
use towline_tests::Body;

const OFFERED: u64 = 280;
const OUTAGE: std::ops::Range<u64> = 60..70;
const END: u64 = 110;

/// A first come, first served queue, emptied by three every ten milliseconds.
#[derive(Clone, Default)]
struct Server {
    queue: Rc<RefCell<VecDeque<oneshot::Sender<()>>>>,
    received: Rc<RefCell<u64>>,
    /// Whether it also works for callers who have gone.
    unaware: bool,
}

impl Server {
    async fn run(self, began: Instant) {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let mut queue = self.queue.borrow_mut();
            let mut done = 0;
            while !OUTAGE.contains(&began.elapsed().as_secs()) && done < 3 {
                let Some(caller) = queue.pop_front() else { break };
                done += u32::from(self.unaware || !caller.is_closed());
                let _ = caller.send(());
            }
        }
    }

    async fn ask(self) -> Result<Response<Body>, BoxError> {
        *self.received.borrow_mut() += 1;
        let (answer, answered) = oneshot::channel();
        self.queue.borrow_mut().push_back(answer);
        answered.await?;
        Ok(Response::new(Body::default()))
    }
}

/// The share of calls that were answered, and the requests that the server received for each call, over the last thirty seconds.
async fn after_the_outage(server: Server, retry: RetryLayer, limit: TimeoutLayer) -> (f64, f64) {
    let began = Instant::now();
    let answered = Rc::new(RefCell::new((0_u64, 0_u64)));
    let asked = server.clone();
    let client = limit.layer(tower::service_fn(move |_: Request<Body>| asked.clone().ask()));
    // A silent target is not asked twice by default; these callers insist, which is what makes the experiment hard.
    let service = retry.table(|_| Some(2)).seed(1).layer(client);
    tokio::task::spawn_local(server.clone().run(began));

    let gaps = Jitter::seeded(7);
    let (mut before, mut next) = (0, began);
    while began.elapsed() < Duration::from_secs(END) {
        // Timers count milliseconds, gaps do not: what one call is late the next makes good.
        next += gaps.up_to(Duration::from_micros(2_000_000 / OFFERED));
        tokio::time::sleep_until(next).await;
        let counted = began.elapsed().as_secs() >= END - 30;
        if !counted {
            before = *server.received.borrow();
        }
        let (answered, service) = (Rc::clone(&answered), service.clone());
        tokio::task::spawn_local(async move {
            let good = call(service).await;
            if counted {
                let mut answered = answered.borrow_mut();
                *answered = (answered.0 + u64::from(good), answered.1 + 1);
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (good, all) = *answered.borrow();
    let received = *server.received.borrow() - before;
    (good as f64 / all as f64, received as f64 / all as f64)
}

async fn call<S: Service<Request<Body>>>(service: S) -> bool {
    service.oneshot(Request::new(Body::default())).await.is_ok()
}

fn a_second() -> TimeoutLayer {
    TimeoutLayer::new().head(Duration::from_secs(1)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_and_cancelled_work_an_outage_leaves_nothing_behind() {
    let (answered, load) = LocalSet::new().run_until(after_the_outage(Server::default(), RetryLayer::new(), a_second())).await;
    assert!(answered > 0.99 && load < 1.15, "{answered} answered at a load of {load}");
}

#[tokio::test(start_paused = true)]
async fn without_either_it_would_never_end() {
    let unaware = Server { unaware: true, ..Server::default() };
    let (answered, load) =
        LocalSet::new().run_until(after_the_outage(unaware, RetryLayer::new().without_budget(), a_second())).await;
    assert!(
        answered < 0.5 && load > 1.5,
        "{answered} answered at a load of {load}: this test shows that the other one shows something"
    );
}

/// What the trickle alone sends: one retry in ten seconds is no load.
#[tokio::test(start_paused = true)]
async fn a_spent_budget_still_finds_out_that_the_outage_is_over() {
    let spent = RetryBudget::new(0.1, 1, 0).unwrap();
    let (answered, load) =
        LocalSet::new().run_until(after_the_outage(Server::default(), RetryLayer::new().budget(spent), a_second())).await;
    assert!(answered > 0.99 && load < 1.15, "{answered} answered at a load of {load}");
}
