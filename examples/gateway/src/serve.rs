//! The server: hyper's, since it can be told how long a head may take, and to let running calls finish.

use std::{future::Future, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::sleep};

/// The most bytes that are read ahead of a connection, and so the longest head.
const HEAD_BYTES: usize = 64 << 10;

/// Serves until `stop`; then takes no further connection, and ends when all calls have. The head of a request may take
/// `head_time` to arrive, and a connection may be idle for as long between two.
pub(crate) async fn serve(listener: TcpListener, app: Router, head_time: Duration, stop: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, most likely; the kernel keeps who waits.
                Err(_) => { sleep(Duration::from_millis(50)).await; continue }
            },
        };
        // Without it a small answer may wait for the acknowledgement of the last one.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        // How a connection ends is its peer's affair.
        tokio::spawn(graceful.watch(connection));
    }
    drop(listener);
    graceful.shutdown().await;
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
