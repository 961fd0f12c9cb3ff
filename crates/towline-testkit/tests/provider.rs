//! The provider as a well-behaved server: script, log, events and lifetime.

mod support;

use http::{Method, StatusCode};
use support::{ask, client, frame, io_kind, post, raw, read};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use towline_testkit::{Gate, MockProvider, Reply, Step};

#[tokio::test]
async fn requests_are_logged_as_they_were_sent() {
    let provider = MockProvider::start().await.unwrap();
    let mut request = post(provider.url("/v1/models/g:generate?key=k&alt=sse"), "{\"a\":1}");
    request.headers_mut().insert("x-api-key", "secret".parse().unwrap());
    let response = client().request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(read(response).await.unwrap(), "{}", "the default");

    let requests = provider.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.uri, "/v1/models/g:generate?key=k&alt=sse");
    assert_eq!(request.header("x-api-key"), Some("secret"));
    assert_eq!(request.text(), "{\"a\":1}");
    assert_eq!((request.connection, request.complete), (1, true));
    let debug = format!("{request:?}");
    assert!(!debug.contains("secret") && !debug.contains("key=k"), "{debug}");
}

#[tokio::test]
async fn the_script_comes_first_and_then_what_is_otherwise_said() {
    let provider = MockProvider::start_with([Reply::status(503)]).await.unwrap();
    provider.script([Reply::status(429), Reply::status(529)]);
    provider.respond_with(|request| Reply::ok().text(request.uri.path().to_owned()));
    for status in [503, 429, 529] {
        assert_eq!(ask(provider.url("/x")).await.unwrap().status().as_u16(), status);
    }
    assert_eq!(provider.remaining(), 0);
    assert_eq!(read(ask(provider.url("/x")).await.unwrap()).await.unwrap(), "/x");
    provider.otherwise(Reply::status(404));
    assert_eq!(ask(provider.url("/x")).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(provider.hits(), 5);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let provider = MockProvider::start().await.unwrap();
    provider.script([Reply::ok().text("one"), Reply::ok().chunks(["t", "", "wo"]), Reply::sse(["three"]), Reply::status(204)]);
    let client = client();
    for body in ["one", "two", "data: three\n\n", "", "{}"] {
        let response = client.request(post(provider.url("/"), "{}")).await.unwrap();
        assert_eq!(read(response).await.unwrap(), body);
    }
    assert_eq!(provider.connections(), 1);
    assert_eq!(provider.requests()[4].connection, 1);
    provider.answered(5).await;
    assert_eq!(provider.cancellations(), 0);
}

#[tokio::test]
async fn a_chunked_request_body_is_put_together() {
    let provider = MockProvider::start().await.unwrap();
    let request = b"POST /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        5;ext=1\r\nhello\r\nB\r\n, my world!\r\n0\r\nx-checksum: 1\r\n\r\n";
    let answer = raw(provider.address(), request).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(provider.requests()[0].text(), "hello, my world!");
}

#[tokio::test]
async fn a_client_that_expects_a_continue_gets_one() {
    let provider = MockProvider::start().await.unwrap();
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    provider.received(1).await;
    assert_eq!(provider.requests()[0].text(), "hello");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_not_logged() {
    let provider = MockProvider::start().await.unwrap();
    for junk in [&b"\x16\x03\x01\x02\x00\x01\x00\x01"[..], b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"] {
        let answer = raw(provider.address(), junk).await;
        assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(provider.hits(), 0);
}

#[tokio::test]
async fn a_head_request_gets_no_body() {
    let provider = MockProvider::start_with([Reply::ok().text("hello")]).await.unwrap();
    let answer = raw(provider.address(), b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_peer_that_leaves_within_its_request_is_logged_and_uses_up_no_reply() {
    let provider = MockProvider::start_with([Reply::status(201)]).await.unwrap();
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhel").await.unwrap();
    drop(stream);
    provider.cancelled(1).await;
    let request = &provider.requests()[0];
    assert_eq!((request.text().as_str(), request.complete), ("hel", false));
    assert_eq!(ask(provider.url("/")).await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(provider.hits(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_seen() {
    let provider = MockProvider::start_with([Reply::silence()]).await.unwrap();
    let call = tokio::spawn(ask(provider.url("/")));
    provider.received(1).await;
    call.abort();
    provider.cancelled(1).await;
    assert_eq!((provider.cancellations(), provider.answers()), (1, 0));
}

#[tokio::test]
async fn a_client_that_drops_the_body_is_seen() {
    let provider = MockProvider::start_with([Reply::stream().event("1").then(Step::Hang)]).await.unwrap();
    let mut response = ask(provider.url("/")).await.unwrap();
    frame(&mut response).await.unwrap();
    assert_eq!(provider.cancellations(), 0);
    drop(response);
    provider.cancelled(1).await;
}

#[tokio::test]
async fn a_gate_orders_what_the_provider_does() {
    let gate = Gate::new();
    let provider = MockProvider::start_with([Reply::stream().event("1").gate(&gate).event("2")]).await.unwrap();
    let mut response = ask(provider.url("/")).await.unwrap();
    assert_eq!(frame(&mut response).await.unwrap(), "data: 1\n\n");
    gate.reached(1).await;
    assert_eq!((gate.arrivals(), gate.is_open()), (1, false));
    gate.open();
    assert_eq!(frame(&mut response).await.unwrap(), "data: 2\n\n");
    assert_eq!(read(response).await.unwrap(), "");
}

#[tokio::test]
async fn an_event_of_several_lines_has_a_data_line_for_each() {
    let provider = MockProvider::start_with([Reply::stream().named_event("delta", "a\nb").chunk(": ping\n\n")]).await.unwrap();
    let body = read(ask(provider.url("/")).await.unwrap()).await.unwrap();
    assert_eq!(body, "event: delta\ndata: a\ndata: b\n\n: ping\n\n");
}

#[tokio::test]
async fn pieces_and_steps_under_a_length_are_one_body() {
    let gate = Gate::new();
    let reply = Reply::ok().chunk("hel").gate(&gate).chunk("lo").with_length().header("Content-Type", "text/x");
    let provider = MockProvider::start_with([reply]).await.unwrap();
    let mut response = ask(provider.url("/")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(frame(&mut response).await.unwrap(), "hel");
    gate.open();
    assert_eq!(read(response).await.unwrap(), "lo");
}

#[tokio::test]
async fn own_framing_headers_take_the_place_of_ours() {
    let provider =
        MockProvider::start_with([Reply::ok().header("Content-Length", "3").text("hello").connection_close()]).await.unwrap();
    let answer = String::from_utf8(raw(provider.address(), b"GET / HTTP/1.1\r\n\r\n").await).unwrap();
    assert!(answer.contains("Content-Length: 3\r\n") && !answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn an_unknown_status_is_written_as_it_stands() {
    let provider = MockProvider::start_with([Reply::status(529), Reply::status(1000)]).await.unwrap();
    assert_eq!(ask(provider.url("/")).await.unwrap().status().as_u16(), 529);
    assert!(ask(provider.url("/")).await.is_err());
}

#[tokio::test]
async fn a_provider_that_was_down_comes_up_at_its_address() {
    let refused = MockProvider::refused().unwrap();
    let url = refused.url("/");
    assert!(ask(url.clone()).await.unwrap_err().is_connect());
    let provider = refused.listen([Reply::status(201)]).unwrap();
    assert_eq!(provider.url("/"), url);
    assert_eq!(ask(url).await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_stopped_provider_refuses_and_cuts_what_is_under_way() {
    let provider = MockProvider::start_with([Reply::silence()]).await.unwrap();
    let url = provider.url("/");
    let call = tokio::spawn(ask(url.clone()));
    provider.received(1).await;
    provider.shutdown().await;
    assert!(call.await.unwrap().is_err());
    assert_eq!(io_kind(&ask(url).await.unwrap_err()), Some(std::io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn dropping_the_provider_cuts_what_is_under_way() {
    let provider = MockProvider::start_with([Reply::silence()]).await.unwrap();
    let call = tokio::spawn(ask(provider.url("/")));
    provider.received(1).await;
    drop(provider);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_on_several_threads_are_each_answered_once() {
    let provider = MockProvider::start().await.unwrap();
    provider.respond_with(|request| Reply::ok().body(request.body.clone()));
    let client = client();
    let calls: Vec<_> = (0..64)
        .map(|n| {
            let (client, request) = (client.clone(), post(provider.url("/"), n.to_string()));
            tokio::spawn(async move { read(client.request(request).await.unwrap()).await.unwrap() })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
    assert_eq!(provider.hits(), 64);
    assert!(provider.connections() <= 64);
}
