//! The providers, and what they were asked.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use towline::{BoxError, Call, Target};
use towline_testkit::ScriptedBody;

use crate::plan::{Does, Plan, Streams};

/// One attempt, as its provider saw it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub caller: usize,
    pub place: usize,
    pub at: Instant,
    /// Which one it was of all.
    pub id: usize,
    pub does: Does,
}

pub type Log = Arc<Mutex<Vec<Sent>>>;

/// What says which call a request belongs to.
pub const CALLER: &str = "x-caller";

pub async fn transport(plan: Arc<Plan>, log: Log, request: Request<Full<Bytes>>) -> Result<Response<ScriptedBody>, BoxError> {
    let place: usize = Target::of(request.extensions()).unwrap().name().parse()?;
    let call = Call::of(request.extensions()).unwrap();
    assert!(call.remaining(Instant::now()).is_some_and(|left| !left.is_zero()), "sent after the deadline");
    let sent = {
        let mut log = log.lock();
        let nth = log.iter().filter(|sent| sent.place == place).count();
        let script = &plan.places[place].script;
        let caller = request.headers()[CALLER].to_str()?.parse()?;
        let sent = Sent { caller, place, at: Instant::now(), id: log.len(), does: script[nth % script.len()] };
        log.push(sent);
        sent
    };
    match sent.does {
        Does::Status(status, after) => {
            sleep(Duration::from_millis(after)).await;
            let text = format!("{{\"attempt\":\"<{}>\"}}", sent.id);
            let body = ScriptedBody::new().data(text.clone()).with_length(text.len() as u64).with_known_end();
            Ok(Response::builder().status(status).header("content-type", "application/json").body(body)?)
        }
        Does::Stream(how, after) => {
            sleep(Duration::from_millis(after)).await;
            Ok(Response::builder().header("content-type", "text/event-stream").body(stream(how, sent.id))?)
        }
        Does::Refuse => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        Does::Silence => std::future::pending().await,
    }
}

fn stream(how: Streams, id: usize) -> ScriptedBody {
    let opening = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[]}}\n\n";
    let content = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"<{id}>\"}}}}\n\n"
    );
    let body = ScriptedBody::new().data(opening).wait(Duration::from_millis(20));
    match how {
        Streams::Whole => {
            body.data(content).wait(Duration::from_millis(500)).data("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
        }
        Streams::Failed => body.data(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        ),
        Streams::Empty => body,
        Streams::Cut => body.data(content).wait(Duration::from_millis(500)),
        Streams::Stalled => body.data(content).hang(),
    }
}
