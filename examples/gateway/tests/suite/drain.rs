//! SIGTERM under load: running calls finish, new ones are refused, none is lost.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use towline_testkit::{Answer, Dialect, Gate, Reply, Step};

use crate::support::{self, Gateway, Said, pair, path, question, started};

const LONG: Duration = Duration::from_secs(60);
const CALLS: usize = 100;

#[tokio::test]
async fn running_streams_and_documents_finish_and_new_calls_are_refused() {
    for dialect in [Dialect::OpenAiChat, Dialect::Anthropic] {
        let [a, b] = started().await;
        let gate = Gate::new();
        let held = gate.clone();
        a.respond_with(move |request| {
            let reply = Reply::as_asked(request, dialect, &Answer::counting(20));
            let held = Step::Gate(held.clone());
            if request.wants_stream() { reply.after_pieces(7, held) } else { reply.at(40, held) }
        });
        let mut gateway = Gateway::start(&pair(dialect, [&a, &b], "", "")).await;
        let mut calls = JoinSet::new();
        for call in 0..CALLS {
            let request = gateway.request(path(dialect), &[], question(dialect, call % 4 != 0).to_string());
            let client = gateway.client.clone();
            calls.spawn(async move { support::Answer::whole(client.request(request).await.unwrap()).await });
        }
        gate.reached(CALLS).await;
        gateway.terminate().await;
        refuses(&gateway).await;
        gate.open();
        for answer in calls.join_all().await {
            let said = Said::read(dialect, &answer);
            assert_eq!((said.text, said.finished, said.error), (Answer::counting(20).whole_text(), true, None));
            assert!(answer.status == 200 && !answer.broken);
        }
        let status = timeout(LONG, gateway.ended()).await.expect("it ends by itself");
        assert!(status.success(), "{status}: {}", gateway.complaints());
        assert_eq!((a.hits(), b.hits()), (CALLS, 0));
    }
}

/// Waits until nobody listens any more.
async fn refuses(gateway: &Gateway) {
    let refused = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, refused).await.expect("new calls are refused");
}

#[tokio::test]
async fn under_steady_load_no_call_that_has_reached_a_provider_goes_without_its_answer() {
    const CHAT: Dialect = Dialect::OpenAiChat;
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(3));
    let gateway = Arc::new(Gateway::start(&pair(CHAT, [&a, &b], "", "")).await);
    let mut callers = JoinSet::new();
    for _ in 0..32 {
        let gateway = Arc::clone(&gateway);
        callers.spawn(async move {
            let mut answered = 0;
            loop {
                let request = gateway.request(path(CHAT), &[], question(CHAT, false).to_string());
                let Ok(response) = gateway.client.request(request).await else { return answered };
                let Ok(body) = response.into_body().collect().await else { panic!("an answer broke off") };
                assert!(String::from_utf8_lossy(&body.to_bytes()).contains("1 2 3 "));
                answered += 1;
            }
        });
    }
    a.answered(500).await;
    gateway.terminate().await;
    let answered: usize = timeout(LONG, callers.join_all()).await.expect("all are refused in the end").into_iter().sum();
    assert!(answered >= 500);
    assert_eq!((a.hits(), b.hits()), (answered, 0), "asked at the provider, and answered here");
    let mut gateway = Arc::into_inner(gateway).unwrap();
    let status = timeout(LONG, gateway.ended()).await.expect("it ends by itself");
    assert!(status.success(), "{status}: {}", gateway.complaints());
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once_whatever_connections_are_kept_open() {
    let [a, b] = started().await;
    let mut gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    let silent = TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(gateway.get("/healthz").await.status, 200);
    gateway.terminate().await;
    let status = timeout(LONG / 4, gateway.ended()).await.expect("nobody is waited for who has asked nothing");
    assert!(status.success());
    drop(silent);
}
