//! The provider: a real HTTP/1.1 server that does what a script says.

use std::{io, net::SocketAddr, sync::Arc};

use http::Uri;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use towline_core::Dialect;

use crate::{
    answer::Answer,
    connection::serve,
    received::Received,
    refused::{Refused, base},
    reply::Reply,
    state::State,
    step::Step,
};

/// A provider on loopback that answers by a script and remembers what it was asked.
///
/// It runs as tasks of the runtime that it was started on, `current_thread` included, and stops when it is dropped: the port
/// is closed and every connection cut at the runtime's next turn; [`shutdown`](Self::shutdown) waits for that. It speaks
/// HTTP/1.1 with keep-alive, `content-length` and chunked request bodies, and `expect: 100-continue`. What is not an HTTP
/// request is answered with a 400, and is not logged.
///
/// The nth whole request is answered by the nth reply of the [script](Self::script), in the order in which they are logged,
/// whatever connection they come over. After the script comes what [`otherwise`](Self::otherwise) or
/// [`respond_with`](Self::respond_with) said last; to begin with that is a 200 with the JSON body `{}`.
///
/// # Time
///
/// Waits in a script are by tokio's clock. On a paused clock they pass as soon as the runtime has nothing else to do, which
/// may be while bytes are on their way through the kernel; hold the clock with a [`HeldClock`](crate::HeldClock) then.
///
/// # Events
///
/// [`received`](Self::received), [`answered`](Self::answered), [`cancelled`](Self::cancelled) and
/// [`connected`](Self::connected) resolve when a count is reached, and wait for ever if it never is. They may be awaited at any
/// time, also after the fact.
#[derive(Debug)]
pub struct MockProvider {
    state: Arc<State>,
    address: SocketAddr,
    uri: Uri,
    task: JoinHandle<()>,
    /// Dropped with the provider, which ends the task.
    stop: oneshot::Sender<()>,
}

impl MockProvider {
    /// Starts a provider with an empty script.
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_with([]).await
    }

    /// Starts a provider with a script.
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be bound.
    pub async fn start_with(script: impl IntoIterator<Item = Reply>) -> io::Result<Self> {
        Self::listening(TcpListener::bind(("127.0.0.1", 0)).await?, script)
    }

    pub(crate) fn listening(listener: TcpListener, script: impl IntoIterator<Item = Reply>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let uri = base(address)?;
        let state = Arc::new(State::new(script.into_iter().collect()));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, Arc::clone(&state), stopped));
        Ok(Self { state, address, uri, task, stop })
    }

    /// An address where every connection is refused; see [`Refused`].
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be bound.
    pub fn refused() -> io::Result<Refused> {
        Refused::bind()
    }

    /// The base, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn uri(&self) -> Uri {
        self.uri.clone()
    }

    /// The base with `path` behind it; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds replies to the end of the script.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script(replies);
    }

    /// Sets what is answered once the script is used up.
    pub fn otherwise(&self, reply: Reply) {
        self.respond_with(move |_| reply.clone());
    }

    /// Sets how an answer is computed once the script is used up.
    pub fn respond_with(&self, respond: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.state.otherwise(Arc::new(respond));
    }

    /// Answers every request, once the script is used up, with `answer` in this dialect, streamed or whole
    /// [as it asks](Reply::as_asked).
    pub fn speak(&self, dialect: Dialect, answer: Answer) {
        self.respond_with(move |request| Reply::as_asked(request, dialect, &answer));
    }

    /// What happens to the next connections as they are accepted, one step for each, before any request is read:
    /// [`Step::Close`], [`Step::Reset`], or [`Step::Hang`] for a server that accepts and never reads.
    /// A [`Step::Wait`] or [`Step::Gate`] lets the connection live on afterwards.
    pub fn on_accept(&self, steps: impl IntoIterator<Item = Step>) {
        self.state.on_accept(steps);
    }

    /// How many replies of the script are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state.remaining()
    }

    /// All requests so far, those that broke off included.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.state.requests()
    }

    /// How many requests were received, those that broke off included.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.state.received.get()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.get()
    }

    /// How many replies were played to their end, be it a reset.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.state.answered.get()
    }

    /// How many requests the peer left before their reply was played to its end.
    #[must_use]
    pub fn cancellations(&self) -> usize {
        self.state.cancelled.get()
    }

    /// Waits until `n` requests were received in all.
    ///
    /// On a `current_thread` runtime the reply has then begun: a wait that stands at its head is already being waited.
    pub async fn received(&self, n: usize) {
        self.state.received.reached(n).await;
    }

    /// Waits until `n` replies were played to their end in all.
    pub async fn answered(&self, n: usize) {
        self.state.answered.reached(n).await;
    }

    /// Waits until peers have left `n` replies in all before these were played to their end: the cancellation of a client as its
    /// provider sees it. A peer that shuts down its sending side only counts as gone.
    pub async fn cancelled(&self, n: usize) {
        self.state.cancelled.reached(n).await;
    }

    /// Waits until `n` connections were accepted in all.
    pub async fn connected(&self, n: usize) {
        self.state.connections.reached(n).await;
    }

    /// Stops, and waits until the port is closed and all connections are cut.
    pub async fn shutdown(self) {
        drop(self.stop);
        // An error says that the task is gone already, with the runtime.
        let _ = self.task.await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // A connection that died before it was accepted is the peer's affair.
                let Ok((stream, _)) = accepted else { continue };
                state.connections.add();
                let id = state.connections.get() as u64;
                let state = Arc::clone(&state);
                connections.spawn(async move { serve(stream, id, &state).await });
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}
