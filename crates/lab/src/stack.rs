//! A stack of layers that can be called many times over, and the loop that calls it.

use std::{
    fmt,
    future::poll_fn,
    ops::Range,
    pin::{Pin, pin},
    sync::Barrier,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::{runtime, time::Instant};
use tower::Service;

use crate::{
    BoxError,
    provider::{ANSWERED, Body, Provider, request},
};

/// Layers over a service that does nothing, built once.
pub struct Stack {
    name: &'static str,
    pends: bool,
    run: Box<Run>,
}

type Run = dyn Fn(u64, &Barrier) -> Result<Range<Instant>, BoxError> + Send + Sync;

/// Calls before the clock runs: they fill caches and make what is made once.
const WARM_UP: u64 = 200;

impl Stack {
    /// The name of the stack without a layer.
    pub const BARE: &'static str = "bare";

    pub(crate) fn new<S, B>(name: &'static str, provider: &Provider, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body,
        B::Error: Into<BoxError>,
    {
        let pends = provider.pends;
        let service = Mutex::new(service);
        let run = move |calls, start: &Barrier| {
            let service = service.lock().clone();
            let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
            if pends {
                let _entered = runtime.enter();
                spin(pin!(drive(service, calls, start)))
            } else {
                runtime.block_on(drive(service, calls, start))
            }
        };
        Self { name, pends, run: Box::new(run) }
    }

    /// What stands over the service: whose layers, and which.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its service is pending once in each call, so that layers have to arm their timers.
    #[must_use]
    pub const fn pends(&self) -> bool {
        self.pends
    }

    /// Makes `calls` calls, one after the other, and says from when to when. A few before them, and then the others who wait at
    /// `start`, are not counted in.
    ///
    /// # Errors
    ///
    /// What a layer answered instead of the whole answer.
    pub fn run(&self, calls: u64, start: &Barrier) -> Result<Range<Instant>, BoxError> {
        (self.run)(calls, start)
    }
}

async fn drive<S, B>(mut service: S, calls: u64, start: &Barrier) -> Result<Range<Instant>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let template = request()?;
    for _ in 0..WARM_UP {
        call(&mut service, template.clone()).await?;
    }
    start.wait();
    let began = Instant::now();
    for _ in 0..calls {
        call(&mut service, template.clone()).await?;
    }
    Ok(began..Instant::now())
}

/// One call, its answer read to the end.
async fn call<S, B>(service: &mut S, request: Request<Body>) -> Result<(), BoxError>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    let response = service.call(request).await.map_err(Into::into)?;
    let mut body = pin!(response.into_body());
    let mut read = 0;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let data = frame.map_err(Into::into)?.into_data();
        read += data.map_or(0, |data| bytes::Buf::remaining(&data));
    }
    if read == ANSWERED { Ok(()) } else { Err("the answer is not whole".into()) }
}

/// Polls until it is ready: a call that is pending once costs no task switch, which would hide what the layers cost.
fn spin<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("name", &self.name).field("pends", &self.pends).finish_non_exhaustive()
    }
}
