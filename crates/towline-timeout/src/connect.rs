//! A limit on connecting.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;
use towline_core::{BoxError, InvalidConfig};

use crate::layer::positive;

/// A connector whose connections must come about within a limit, 5 s unless said otherwise.
///
/// It goes around the outermost connector of a client, so that resolving the name, connecting and the TLS handshake share the limit. That
/// is more than the limit of hyper-util's own `HttpConnector`, which a peer that accepts and then says nothing of TLS outlasts.
/// A new connection is waited for within the head of the response; with a limit of its own a call learns in seconds that it was
/// never sent, and may be sent again at no risk.
///
/// ```no_run
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
/// use towline_timeout::ConnectTimeout;
///
/// let mut http = HttpConnector::new();
/// // A connection on which nothing moves for a while is dropped by the routers on its way, and nobody is told. So it is probed
/// // after 60 s without a byte, each 60 s, and given up after 5 probes without an answer.
/// http.set_keepalive(Some(Duration::from_secs(60)));
/// http.set_keepalive_interval(Some(Duration::from_secs(60)));
/// http.set_keepalive_retries(Some(5));
/// // With TLS, `ConnectTimeout::new(https)`, where `https` is made of `http`.
/// let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(ConnectTimeout::new(http));
/// ```
///
/// # Errors
///
/// An [`io::Error`] of kind `TimedOut` where the limit has passed, which every layer of towline reads as `Timeout(Connect)`; else the
/// connector's own. Dropping the future drops the connector's.
#[derive(Clone, Debug)]
pub struct ConnectTimeout<C> {
    connector: C,
    limit: Duration,
}

pin_project! {
    /// Waits for a connection, within its limit. `Unpin` if the connector's future is, which hyper-util asks for.
    ///
    /// Once it has answered, what it waited for is dropped; polled again it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ConnectFuture<F> {
        #[pin]
        connecting: Option<F>,
        timer: Pin<Box<Sleep>>,
    }
}

impl<C> ConnectTimeout<C> {
    /// Connects with `connector`, within 5 s.
    pub const fn new(connector: C) -> Self {
        Self { connector, limit: Duration::from_secs(5) }
    }

    /// How long a connection may take to come about.
    ///
    /// # Errors
    ///
    /// `limit` if it is zero.
    pub fn limit(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.limit = positive("limit", limit)?;
        Ok(self)
    }

    /// The connector beneath.
    pub const fn get_ref(&self) -> &C {
        &self.connector
    }

    /// The connector beneath.
    pub const fn get_mut(&mut self) -> &mut C {
        &mut self.connector
    }

    /// The connector beneath, alone.
    pub fn into_inner(self) -> C {
        self.connector
    }
}

impl<C, T> Service<T> for ConnectTimeout<C>
where
    C: Service<T>,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    // Not ours, which would have to say what failed: that it was the connector is known further up alone.
    type Error = BoxError;
    type Future = ConnectFuture<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: T) -> Self::Future {
        ConnectFuture { connecting: Some(self.connector.call(to)), timer: Box::pin(sleep(self.limit)) }
    }
}

impl<F, T, E> Future for ConnectFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(connecting) = this.connecting.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = match connecting.poll(cx) {
            Poll::Ready(result) => result.map_err(Into::into),
            Poll::Pending => {
                ready!(this.timer.as_mut().poll(cx));
                Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within its time limit").into())
            }
        };
        this.connecting.set(None);
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for ConnectFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFuture").field("answered", &self.connecting.is_none()).finish_non_exhaustive()
    }
}
