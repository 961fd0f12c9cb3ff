//! Tokio tasks that share one circuit.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::{
    runtime::{self, Runtime},
    time::Instant,
};
use tower::Service;

use crate::{
    BoxError,
    breaker::call::{Asked, calls},
};

pub(super) type Tasks = dyn Fn(usize, u64) -> Result<Duration, BoxError>;

/// Calls before the clock runs.
const WARM_UP: u64 = 500;

/// A runtime of this thread alone.
pub(super) fn alone() -> Result<Runtime, BoxError> {
    Ok(runtime::Builder::new_current_thread().enable_time().build()?)
}

/// What has clones of `service` called by so many tasks, so often each.
pub(super) fn over<S, B>(service: S) -> Box<Tasks>
where
    S: Service<Request<Asked>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let service = Mutex::new(service);
    Box::new(move |tasks, n| {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(tasks).enable_time().build()?;
        let gate = Arc::new(AtomicUsize::new(tasks));
        let all: Vec<_> = (0..tasks)
            .map(|_| {
                let (service, gate) = (service.lock().clone(), Arc::clone(&gate));
                runtime.spawn(async move { task(service, &gate, n).await })
            })
            .collect();
        runtime.block_on(async {
            let mut times = Vec::new();
            for task in all {
                times.push(task.await??);
            }
            let began = times.iter().map(|time| time.start).min().ok_or("nobody ran")?;
            Ok(times.iter().map(|time| time.end.saturating_duration_since(began)).max().unwrap_or_default())
        })
    })
}

/// Waits until all others are there, warms up and makes its calls. It waits without sleep, since to be woken takes longer than a thousand
/// calls; and before its first call, since who is woken by another's call might have to wait for this thread.
async fn task<S, B>(mut service: S, gate: &AtomicUsize, n: u64) -> Result<Range<Instant>, BoxError>
where
    S: Service<Request<Asked>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    gate.fetch_sub(1, Ordering::AcqRel);
    while gate.load(Ordering::Acquire) > 0 {
        thread::yield_now();
    }
    calls(&mut service, WARM_UP).await?;
    let began = Instant::now();
    calls(&mut service, n).await?;
    Ok(began..Instant::now())
}
