//! The server: hyper's, since it can be told how long a head may take, and to let running calls finish; on threads that share nothing but the layers.

use std::{future::Future, io, sync::Arc, thread, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::oneshot,
    time::{interval, sleep},
};

/// The most bytes that are read ahead of a connection, and so the longest head.
const HEAD_BYTES: usize = 64 << 10;

/// How often a thread wakes with nothing to do. A timer that would fire before all others is announced to the runtime by a system call,
/// and each call to an idle thread, which begins with some that never fire, would make one.
const TICK: Duration = Duration::from_millis(250);

/// A thread with a runtime of its own, until it is dropped. All that a call wakes is on its caller's thread: to wake another one takes
/// longer than most of what is done here.
struct Worker {
    runtime: Handle,
    /// Counted by each of its connections.
    connections: Arc<()>,
    _stop: oneshot::Sender<()>,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let worker = Self { runtime: runtime.handle().clone(), connections: Arc::default(), _stop: stop };
        let work = async move {
            let mut ticks = interval(TICK);
            loop {
                tokio::select! { _ = &mut stopped => break, _ = ticks.tick() => {} }
            }
        };
        thread::Builder::new().name("worker".to_owned()).spawn(move || runtime.block_on(work))?;
        Ok(worker)
    }
}

/// Serves until `stop`; then takes no further connection, and ends when all calls have. The head of a request may take
/// `head_time` to arrive, and a connection may be idle for as long between two.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    head_time: Duration,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let workers = (0..threads).map(|_| Worker::start()).collect::<io::Result<Vec<_>>>()?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted.and_then(|(stream, _)| stream.into_std()),
        };
        let Ok(stream) = accepted else {
            // Out of descriptors, most likely; the kernel keeps who waits.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // To the one that has the fewest. What a connection waits for is then that thread's to tell it.
        let Some(worker) = workers.iter().min_by_key(|worker| Arc::strong_count(&worker.connections)) else { continue };
        let _within = worker.runtime.enter();
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        // Without it a small answer may wait for the acknowledgement of the last one.
        let _ = stream.set_nodelay(true);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone())));
        let counted = Arc::clone(&worker.connections);
        tokio::spawn(async move {
            // How a connection ends is its peer's affair.
            let _ = connection.await;
            drop(counted);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

/// The signal to end: SIGTERM, or ctrl-c. It is listened for from this call on, not from the first poll.
pub(crate) fn signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async {
        let interrupt = tokio::signal::ctrl_c();
        #[cfg(unix)]
        if let Ok(mut terminate) = terminate {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt => {} }
            return;
        }
        let _ = interrupt.await;
    }
}
