//! One request over a raw socket, and what comes of it.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::{sleep, timeout},
};

use super::requests::{Hostile, Then};

/// Far more than the gateway may take.
const LONG: Duration = Duration::from_secs(30);

/// What is wrong with how the gateway took it, if anything.
pub(super) async fn exchange(address: SocketAddr, request: &Hostile) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut reader, writer) = stream.into_split();
    let writing = tokio::spawn(write(writer, request.parts.clone(), request.then));
    let mut came = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        // An end, in order or by reset, is an answer too.
        while let Ok(n @ 1..) = reader.read(&mut buffer).await {
            came.extend_from_slice(&buffer[..n]);
            if statuses(&came).len() >= request.answers {
                break;
            }
        }
    };
    let ended = timeout(LONG, reading).await;
    writing.abort();
    ended.map_err(|_| "it is kept waiting".to_owned())?;
    let statuses = statuses(&came);
    match statuses.iter().find(|status| !(400..500).contains(*status) && **status != 505) {
        Some(status) => Err(format!("{status}: {}", String::from_utf8_lossy(&came))),
        None if statuses.is_empty() && !came.is_empty() => Err(format!("half an answer: {}", String::from_utf8_lossy(&came))),
        None if request.in_words && !String::from_utf8_lossy(&came).contains(r#""message":""#) => {
            Err(format!("no word of what is wrong: {}", String::from_utf8_lossy(&came)))
        }
        None => Ok(()),
    }
}

async fn write(mut writer: OwnedWriteHalf, parts: Vec<Vec<u8>>, then: Then) {
    for part in parts {
        // The gateway may have had enough.
        if writer.write_all(&part).await.is_err() {
            return;
        }
        if then == Then::Slowly {
            sleep(Duration::from_millis(50)).await;
        }
    }
    if then == Then::Leave {
        let _ = writer.shutdown().await;
    }
    // Until the reader has seen enough.
    std::future::pending::<()>().await;
}

/// The statuses of all whole answers, informational ones left out.
fn statuses(mut came: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        let Some(rest) = came.get(end + 4 + length.unwrap_or(0)..) else { break };
        statuses.extend((status >= 200 || status == 0).then_some(status));
        came = rest;
    }
    statuses
}
