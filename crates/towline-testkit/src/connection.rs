//! One connection: requests in, the script's steps out.

use std::{future::pending, io};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{
    received::Received,
    reply::Reply,
    request::{Broken, Head, read_body, read_head},
    state::State,
    step::Step,
};

/// What is to become of the connection.
enum Next {
    Request,
    Close,
    Reset,
    /// The peer is gone: nothing is left to close in order.
    Gone,
}

pub(crate) async fn serve(mut stream: TcpStream, id: u64, state: &State) {
    // Each write is to leave at once, so that a frame is a frame.
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    let mut next = match state.next_on_accept() {
        Some(step) => watched(&mut stream, &mut buffer, vec![step]).await,
        None => Next::Request,
    };
    while matches!(next, Next::Request) {
        next = exchange(&mut stream, &mut buffer, id, state).await;
    }
    match next {
        Next::Reset => {
            let _ = stream.set_zero_linger();
        }
        Next::Close => {
            // Unread bytes would turn the close into a reset: read on until the peer has closed too.
            let _ = stream.shutdown().await;
            peer_left(&mut stream, &mut buffer).await;
        }
        Next::Request | Next::Gone => {}
    }
}

async fn exchange(stream: &mut TcpStream, buffer: &mut BytesMut, id: u64, state: &State) -> Next {
    let head = match read_head(stream, buffer).await {
        Ok(Some(head)) => head,
        Ok(None) | Err(Broken::Gone) => return Next::Gone,
        Err(Broken::Malformed) => return refuse(stream).await,
    };
    let early = state.early(|| received(&head, BytesMut::new(), id, !head.has_body()));
    let answered_early = early.is_some();
    let reply = match early {
        Some(reply) => reply,
        None => match whole_request(stream, buffer, &head, id, state).await {
            Ok(received) => state.answer(&received),
            Err(Broken::Gone) => return Next::Gone,
            Err(Broken::Malformed) => return refuse(stream).await,
        },
    };
    match respond(stream, buffer, reply, &head, state).await {
        Next::Request if answered_early => {
            let mut rest = BytesMut::new();
            if read_body(stream, buffer, head.framing, &mut rest).await.is_err() {
                return Next::Gone;
            }
        }
        Next::Request => {}
        other => return other,
    }
    if head.keep_alive { Next::Request } else { Next::Close }
}

async fn whole_request(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    head: &Head,
    id: u64,
    state: &State,
) -> Result<Received, Broken> {
    if head.expects_continue() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = BytesMut::new();
    match read_body(stream, buffer, head.framing, &mut body).await {
        Ok(()) => Ok(received(head, body, id, true)),
        Err(broken) => {
            state.abandoned(received(head, body, id, false));
            Err(broken)
        }
    }
}

async fn respond(stream: &mut TcpStream, buffer: &mut BytesMut, reply: Reply, head: &Head, state: &State) -> Next {
    let next = watched(stream, buffer, reply.into_wire(&head.method)).await;
    if matches!(next, Next::Gone) {
        state.cancelled.add();
    } else {
        state.answered.add();
    }
    next
}

/// Plays steps while watching whether the peer still listens.
async fn watched(stream: &mut TcpStream, buffer: &mut BytesMut, steps: Vec<Step>) -> Next {
    let (mut reader, mut writer) = stream.split();
    tokio::select! {
        biased;
        next = play(&mut writer, steps) => next.unwrap_or(Next::Gone),
        () = peer_left(&mut reader, buffer) => Next::Gone,
    }
}

async fn refuse(stream: &mut TcpStream) -> Next {
    let steps = Reply::status(400).text("the mock provider could not read this request").connection_close();
    let _ = play(stream, steps.into_wire(&http::Method::GET)).await;
    Next::Close
}

async fn play<W: AsyncWrite + Unpin>(writer: &mut W, steps: Vec<Step>) -> io::Result<Next> {
    for step in steps {
        match step {
            Step::Bytes(bytes) => writer.write_all(&bytes).await?,
            Step::Wait(wait) => sleep(wait).await,
            Step::Gate(gate) => gate.pass().await,
            Step::Reset => return Ok(Next::Reset),
            Step::Close => return Ok(Next::Close),
            Step::Hang => pending().await,
        }
    }
    Ok(Next::Request)
}

/// Resolves once the peer has closed or reset the connection; what it sends before that is kept.
async fn peer_left<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) {
    while reader.read_buf(buffer).await.is_ok_and(|n| n > 0) {}
}

fn received(head: &Head, body: BytesMut, connection: u64, complete: bool) -> Received {
    Received {
        method: head.method.clone(),
        uri: head.uri.clone(),
        headers: head.headers.clone(),
        body: body.freeze(),
        connection,
        complete,
        at: Instant::now(),
    }
}
