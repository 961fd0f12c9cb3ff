//! Callers: each with one connection, one call after the other.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use lab::{BoxError, question};
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

/// How long each call of a load took until its answer had ended, or its first event had come.
pub(super) type Times = Vec<Duration>;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Document,
    FirstEvent,
}

struct Caller {
    sender: SendRequest<Full<Bytes>>,
    body: Bytes,
    address: SocketAddr,
    ask: Ask,
}

/// So many callers for so long.
pub(super) async fn load(address: SocketAddr, callers: usize, ask: Ask, time: Duration) -> Result<Times, BoxError> {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let mut caller = Caller::connect(address, ask).await?;
        all.spawn(async move {
            let (began, mut times) = (Instant::now(), Times::new());
            while began.elapsed() < time {
                times.push(caller.call().await?);
            }
            Ok::<_, BoxError>(times)
        });
    }
    let mut times = Times::new();
    while let Some(caller) = all.join_next().await {
        times.extend(caller??);
    }
    times.sort_unstable();
    Ok(times)
}

/// The text at a path.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<String, BoxError> {
    let mut caller = Caller::connect(address, Ask::Document).await?;
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Full::default())?;
    let answer = caller.sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

impl Caller {
    async fn connect(address: SocketAddr, ask: Ask) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let body = match ask {
            Ask::Document => question(),
            Ask::FirstEvent => question().replacen('{', "{\"stream\":true,", 1),
        };
        Ok(Self { sender, body: body.into(), address, ask })
    }

    async fn call(&mut self) -> Result<Duration, BoxError> {
        let request = Request::post("/v1/chat/completions")
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, "Bearer sk-0123456789abcdef0123456789abcdef")
            .header(header::USER_AGENT, "lab/0.1")
            .body(Full::new(self.body.clone()))?;
        self.sender.ready().await?;
        let began = Instant::now();
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let first = body.frame().await.ok_or("an answer without a body")??;
        let first_came = began.elapsed();
        let mut length = first.data_ref().map_or(0, Bytes::len);
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        if status != 200 || length < 1000 {
            return Err(format!("{status} with {length} bytes").into());
        }
        Ok(if self.ask == Ask::FirstEvent { first_came } else { began.elapsed() })
    }
}
