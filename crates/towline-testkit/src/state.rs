//! What a provider and its connections share: the script and the log.

use std::{collections::VecDeque, fmt, sync::Arc};

use parking_lot::Mutex;

use crate::{counter::Counter, received::Received, reply::Reply, step::Step};

pub(crate) type Responder = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

pub(crate) struct State {
    /// Under one lock, so that the nth request of the log is answered by the nth reply of the script.
    log: Mutex<Log>,
    pub(crate) received: Counter,
    pub(crate) answered: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) connections: Counter,
}

struct Log {
    script: VecDeque<Reply>,
    otherwise: Responder,
    on_accept: VecDeque<Step>,
    requests: Vec<Received>,
}

impl State {
    pub(crate) fn new(script: VecDeque<Reply>) -> Self {
        let otherwise = Arc::new(|_: &Received| Reply::ok().json("{}"));
        Self {
            log: Mutex::new(Log { script, otherwise, on_accept: VecDeque::new(), requests: Vec::new() }),
            received: Counter::new(),
            answered: Counter::new(),
            cancelled: Counter::new(),
            connections: Counter::new(),
        }
    }

    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        // The caller's iterator may do anything, so it runs before the lock is taken.
        let replies: Vec<_> = replies.into_iter().collect();
        self.log.lock().script.extend(replies);
    }

    pub(crate) fn otherwise(&self, responder: Responder) {
        let _old = std::mem::replace(&mut self.log.lock().otherwise, responder);
    }

    pub(crate) fn on_accept(&self, steps: impl IntoIterator<Item = Step>) {
        let steps: Vec<_> = steps.into_iter().collect();
        self.log.lock().on_accept.extend(steps);
    }

    pub(crate) fn next_on_accept(&self) -> Option<Step> {
        self.log.lock().on_accept.pop_front()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log.lock().requests.clone()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.log.lock().script.len()
    }

    /// The next reply of the script, if it is early; `received` is then logged.
    pub(crate) fn early(&self, received: impl FnOnce() -> Received) -> Option<Reply> {
        let reply = {
            let mut log = self.log.lock();
            let reply = if log.script.front()?.early { log.script.pop_front() } else { None }?;
            log.requests.push(received());
            reply
        };
        self.received.add();
        Some(reply)
    }

    /// Logs a whole request and says what to answer.
    pub(crate) fn answer(&self, received: &Received) -> Reply {
        let (scripted, otherwise) = {
            let mut log = self.log.lock();
            log.requests.push(received.clone());
            (log.script.pop_front(), Arc::clone(&log.otherwise))
        };
        self.received.add();
        scripted.unwrap_or_else(|| otherwise(received))
    }

    /// Logs a request whose peer left before it was whole. It uses up no reply.
    pub(crate) fn abandoned(&self, received: Received) {
        self.log.lock().requests.push(received);
        self.received.add();
        self.cancelled.add();
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("received", &self.received.get())
            .field("answered", &self.answered.get())
            .field("cancelled", &self.cancelled.get())
            .field("connections", &self.connections.get())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
