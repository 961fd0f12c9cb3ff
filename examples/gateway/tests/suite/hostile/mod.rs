//! 10,000 malformed, oversized, truncated, pipelined and slow requests, from a seeded generator over raw sockets: each is answered by a clear 4xx or by the
//! end of its connection, none reaches a provider, memory stays bounded, and the gateway serves on.

mod exchange;
mod requests;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use towline_testkit::{Answer, Dialect, MockProvider};

use self::{
    exchange::exchange,
    requests::{Chance, hostile},
};
use crate::support::{Gateway, base_url, provider, resident};

const CHAT: Dialect = Dialect::OpenAiChat;
const REQUESTS: u64 = 10_000;
const CALLERS: u64 = 64;
/// What a body may have, and how long a head or a body may take to arrive.
pub(crate) const MAX_BODY: usize = 64 << 10;
const PATIENCE: &str = "1s";

/// The model `chat`, which nobody must reach, and the model `well`.
async fn gateway() -> (Gateway, MockProvider, MockProvider) {
    let [chat, well] = crate::support::started().await;
    well.speak(CHAT, Answer::counting(2));
    let model = |name: &str| format!("[[models]]\nname = \"{name}\"\ntargets = [{{ provider = \"{name}\", model = \"m\" }}]\n");
    let config = format!("max_body = \"{}KiB\"\nread_timeout = \"{PATIENCE}\"\n", MAX_BODY >> 10)
        + &provider("chat", CHAT, &base_url(CHAT, &chat), "")
        + &provider("well", CHAT, &base_url(CHAT, &well), "")
        + &model("chat")
        + &model("well");
    (Gateway::start(&config).await, chat, well)
}

async fn serves(gateway: &Gateway) {
    // A connection that is kept may be given up just when it is taken again: so short is the gateway's patience here.
    let once = [("connection", "close")];
    let answer = gateway.post_with("/v1/chat/completions", &once, json!({"model": "well", "messages": []})).await;
    assert_eq!((answer.status, answer.text().contains("1 2 ")), (200, true), "{}", answer.text());
}

#[tokio::test]
async fn ten_thousand_hostile_requests_are_refused_and_reach_nobody() {
    let (gateway, chat, _well) = gateway().await;
    let gateway = Arc::new(gateway);
    serves(&gateway).await;
    let before = resident(&gateway);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let gateway = Arc::clone(&gateway);
        callers.spawn(async move {
            let mut wrong = Vec::new();
            for seed in (caller..REQUESTS).step_by(CALLERS.try_into().unwrap()) {
                let request = hostile(&mut Chance::new(seed));
                wrong.extend(
                    exchange(gateway.address, &request).await.err().map(|told| format!("seed {seed}, {}: {told}", request.kind)),
                );
                if seed % 500 == 0 {
                    serves(&gateway).await;
                }
            }
            wrong
        });
    }
    let wrong = callers.join_all().await.concat();
    assert!(wrong.is_empty(), "{} of {REQUESTS}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    serves(&gateway).await;
    assert_eq!((chat.connections(), chat.hits()), (0, 0));
    let after = resident(&gateway);
    // 64 callers at once may have a body of 64 KiB each; what else grows is the allocator's.
    assert!(after < before + 48 * 1024, "from {before} KiB to {after} KiB");
}

#[tokio::test]
async fn who_only_announces_much_or_sends_nothing_costs_next_to_nothing() {
    let (gateway, chat, _well) = gateway().await;
    serves(&gateway).await;
    let before = resident(&gateway);
    let mut open = Vec::new();
    for n in 0..500 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        if n % 2 == 0 {
            let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {MAX_BODY}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        open.push(stream);
    }
    serves(&gateway).await;
    let meanwhile = resident(&gateway);
    assert!(meanwhile < before + 16 * 1024, "from {before} KiB to {meanwhile} KiB");
    // All are let go in the end, though none of them does anything.
    for stream in open {
        let mut byte = [0];
        let ended = async {
            while matches!(stream.try_read(&mut byte), Ok(1..))
                || stream.readable().await.is_ok() && matches!(stream.try_read(&mut byte), Ok(1..))
            {}
        };
        timeout(Duration::from_secs(60), ended).await.expect("it is let go");
    }
    assert_eq!(chat.connections(), 0);
}

#[tokio::test]
async fn a_slow_request_that_keeps_within_the_time_is_served() {
    let (gateway, _chat, well) = gateway().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = r#"{"model":"well","messages":[]}"#;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.set_nodelay(true).unwrap();
    for part in head.as_bytes().chunks(20).chain(body.as_bytes().chunks(10)) {
        stream.write_all(part).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    well.answered(1).await;
}
