//! Each misbehaviour, as a real client sees it.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod support;

use std::{io::ErrorKind, time::Duration};

use http::StatusCode;
use support::{ask, client, find, frame, io_kind, post, raw, read};
use tokio::time::{Instant, timeout};
use towline_testkit::{Gate, HeldClock, MockProvider, Reply, Step};

async fn provider(reply: Reply) -> MockProvider {
    MockProvider::start_with([reply]).await.unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error() {
    let refused = MockProvider::refused().unwrap();
    for _ in 0..3 {
        let error = ask(refused.url("/")).await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionRefused));
    }
}

#[tokio::test]
async fn a_reset_before_the_head_is_a_connection_reset() {
    let provider = provider(Reply::reset()).await;
    let error = ask(provider.url("/")).await.unwrap_err();
    assert!(!error.is_connect());
    assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionReset), "{error:?}");
    assert_eq!(provider.hits(), 1);
}

#[tokio::test]
async fn a_close_without_an_answer_is_an_incomplete_message() {
    let provider = provider(Reply::close()).await;
    let error = ask(provider.url("/")).await.unwrap_err();
    assert!(find::<hyper::Error>(&error).unwrap().is_incomplete_message(), "{error:?}");
}

#[tokio::test]
async fn a_close_inside_the_head_is_an_incomplete_message() {
    let provider = provider(Reply::ok().in_head(Step::Close)).await;
    let error = ask(provider.url("/")).await.unwrap_err();
    assert!(find::<hyper::Error>(&error).unwrap().is_incomplete_message(), "{error:?}");
}

#[tokio::test]
async fn what_is_not_http_is_a_parse_error() {
    let provider = provider(Reply::not_http()).await;
    let error = ask(provider.url("/")).await.unwrap_err();
    assert!(find::<hyper::Error>(&error).unwrap().is_parse(), "{error:?}");
}

#[tokio::test]
async fn a_broken_header_is_sent_as_it_stands() {
    let provider = provider(Reply::ok().header("bad header", "1")).await;
    let error = ask(provider.url("/")).await.unwrap_err();
    assert!(find::<hyper::Error>(&error).unwrap().is_parse(), "{error:?}");
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_an_unexpected_end() {
    for reply in [Reply::ok().text("hello").at(3, Step::Close), Reply::ok().text("hello").then(Step::Close)] {
        let provider = provider(reply).await;
        let response = ask(provider.url("/")).await.unwrap();
        let error = read(response).await.unwrap_err();
        assert_eq!(io_kind(&error), Some(ErrorKind::UnexpectedEof), "{error:?}");
    }
}

#[tokio::test]
async fn chunks_without_a_terminator_are_an_unexpected_end() {
    let provider = provider(Reply::ok().chunks(["one", "two"]).then(Step::Close)).await;
    let error = read(ask(provider.url("/")).await.unwrap()).await.unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::UnexpectedEof), "{error:?}");
}

#[tokio::test]
async fn a_reset_inside_the_body_is_a_connection_reset() {
    let gate = Gate::new();
    let provider = provider(Reply::ok().text("hello").at(3, Step::Gate(gate.clone())).at(3, Step::Reset)).await;
    let mut response = ask(provider.url("/")).await.unwrap();
    assert_eq!(frame(&mut response).await.unwrap(), "hel");
    gate.open();
    let error = read(response).await.unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::ConnectionReset), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_dies_between_events_gives_those_before() {
    for (cut, kind) in [(Step::Close, ErrorKind::UnexpectedEof), (Step::Reset, ErrorKind::ConnectionReset)] {
        let gate = Gate::new();
        let provider = provider(Reply::sse(["1", "2"]).gate(&gate).then(cut).event("3")).await;
        let mut response = ask(provider.url("/")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut text = Vec::new();
        while text.len() < 18 {
            text.extend(frame(&mut response).await.unwrap());
        }
        assert_eq!(text, b"data: 1\n\ndata: 2\n\n");
        gate.open();
        assert_eq!(io_kind(&read(response).await.unwrap_err()), Some(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_anywhere_lasts_until_the_client_gives_up() {
    let clock = HeldClock::hold();
    let silent = [Reply::silence(), Reply::ok().in_head(Step::Hang), Reply::ok().before_head(Step::Hang)];
    for reply in silent {
        let provider = provider(reply).await;
        let call = tokio::spawn(timeout(Duration::from_secs(60), ask(provider.url("/"))));
        provider.received(1).await;
        assert_eq!(provider.cancellations(), 0);
        clock.advance(Duration::from_secs(60)).await;
        assert!(call.await.unwrap().is_err(), "timed out");
        provider.cancelled(1).await;
        assert_eq!(provider.answers(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_fall_silent_at_its_beginning_or_midway() {
    let _clock = HeldClock::hold();
    let provider = MockProvider::start().await.unwrap();
    provider.script([Reply::ok().text("hello").at(0, Step::Hang), Reply::ok().text("hello").at(3, Step::Hang)]);

    let response = ask(provider.url("/")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    drop(response);
    provider.cancelled(1).await;

    let mut response = ask(provider.url("/")).await.unwrap();
    assert_eq!(frame(&mut response).await.unwrap(), "hel");
    drop(response);
    provider.cancelled(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_drip_takes_one_interval_for_each_byte() {
    // Nothing but the provider waits here, so the clock may leap whenever it likes.
    let second = Duration::from_secs(1);
    let provider = provider(Reply::ok().text("hello").drip(second).delay(second * 10)).await;
    let begin = Instant::now();
    let response = ask(provider.url("/")).await.unwrap();
    assert_eq!(begin.elapsed(), second * 10);
    assert_eq!(read(response).await.unwrap(), "hello");
    assert!(begin.elapsed() >= second * 14, "{:?}", begin.elapsed());

    provider.script([Reply::ok().drip_head(second)]);
    let begin = Instant::now();
    ask(provider.url("/")).await.unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".len();
    assert!(begin.elapsed() >= second * (head as u32 - 1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_body_until_the_close_ends_well_wherever_it_is_cut() {
    let provider = provider(Reply::ok().text("hello").until_close()).await;
    let response = ask(provider.url("/")).await.unwrap();
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(read(response).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_connection_closed_unannounced_is_replaced() {
    let provider = provider(Reply::ok().text("hello").hang_up()).await;
    let client = client();
    let response = client.request(post(provider.url("/"), "{}")).await.unwrap();
    assert!(!response.headers().contains_key("connection"));
    assert_eq!(read(response).await.unwrap(), "hello");
    provider.answered(1).await;
    // Whether the pool has noticed is a race that the client may lose once.
    if client.request(post(provider.url("/"), "{}")).await.is_err() {
        client.request(post(provider.url("/"), "{}")).await.unwrap();
    }
    assert_eq!(provider.connections(), 2);
}

#[tokio::test]
async fn an_announced_close_is_not_reused() {
    let provider = provider(Reply::ok().text("hello").connection_close()).await;
    let client = client();
    let response = client.request(post(provider.url("/"), "{}")).await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
    read(response).await.unwrap();
    client.request(post(provider.url("/"), "{}")).await.unwrap();
    assert_eq!(provider.connections(), 2);
}

#[tokio::test]
async fn an_early_reply_does_not_wait_for_the_body() {
    // More than the kernel buffers, so that the body cannot have been sent by the time of the answer.
    let body = vec![b'x'; 32 * 1024 * 1024];
    let provider = provider(Reply::status(413).text("too large").early()).await;
    let client = client();
    let response = client.request(post(provider.url("/"), body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let request = &provider.requests()[0];
    assert!(!request.complete);
    assert_eq!(request.body.len(), 0);
    assert_eq!(read(response).await.unwrap(), "too large");
}

#[tokio::test]
async fn after_an_early_reply_the_connection_goes_on() {
    let provider = provider(Reply::status(413).early()).await;
    let request = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nconnection: close\r\n\r\n";
    let answer = String::from_utf8(raw(provider.address(), request).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    let uris: Vec<_> = provider.requests().iter().map(|r| (r.uri.path().to_owned(), r.complete)).collect();
    assert_eq!(uris, [("/".to_owned(), false), ("/next".to_owned(), true)]);
}

#[tokio::test]
async fn connections_are_cut_as_they_are_accepted() {
    let provider = MockProvider::start().await.unwrap();
    provider.on_accept([Step::Close, Step::Reset]);
    for n in 1..=2 {
        assert!(ask(provider.url("/")).await.is_err());
        assert_eq!(provider.connections(), n);
    }
    assert_eq!(provider.hits(), 0);
    ask(provider.url("/")).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_accepted_and_never_read_hangs_until_the_client_leaves() {
    let provider = MockProvider::start().await.unwrap();
    let gate = Gate::new();
    provider.on_accept([Step::Gate(gate.clone())]);
    let call = tokio::spawn(ask(provider.url("/")));
    gate.reached(1).await;
    assert_eq!(provider.hits(), 0);
    gate.open();
    call.await.unwrap().unwrap();
    assert_eq!(provider.hits(), 1);
}
