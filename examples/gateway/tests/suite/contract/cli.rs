//! `gateway [--config FILE] [--listen ADDR] [--check]`.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use towline_testkit::Dialect;

use crate::support::{File, Gateway, pair, run, started};

/// Far more than it takes, and no limit that a slow machine would feel.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_says_where_it_listens_when_it_is_ready() {
    let [a, b] = started().await;
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_ne!(gateway.address.port(), 0, "the port that it has, not the one that was asked for");
}

#[tokio::test]
async fn the_command_line_says_where_to_listen_else_the_file_does() {
    let [a, b] = started().await;
    let model = pair(Dialect::OpenAiChat, [&a, &b], "", "");
    let file = File::new(&format!("listen = \"127.0.0.1:0\"\n{model}"));
    let gateway = Gateway::spawn(&["--config", file.path()], &[]).await;
    assert_eq!(gateway.get("/healthz").await.status, 200);

    let taken = gateway.address;
    let file = File::new(&format!("listen = \"{taken}\"\n{model}"));
    let second = Gateway::spawn(&["--config", file.path(), "--listen", "127.0.0.1:0"], &[]).await;
    assert_eq!(second.get("/healthz").await.status, 200);
    let ran = run(&["--config", file.path()], &[]).await;
    assert!(!ran.status.success() && ran.stderr.contains(&taken.to_string()), "{ran:?}");
}

#[tokio::test]
async fn without_a_file_it_runs_against_providers_that_misbehave_and_prints_what_happens() {
    let mut gateway = Gateway::spawn(&["--listen", "127.0.0.1:0"], &[]).await;
    let answer =
        gateway.post("/v1/chat/completions", json!({"model": "chat", "messages": [{"role": "user", "content": "Hello?"}]}));
    assert!([200, 502, 503].contains(&answer.await.status), "it can be asked like any other");
    let mut printed = String::new();
    let seen = async {
        // Three calls, of which at least one did not succeed at once.
        while printed.matches("200").count() < 3
            || !["429", "500", "503", "timeout", "transport"].iter().any(|w| printed.contains(w))
        {
            printed += &gateway.lines.next_line().await.unwrap().expect("it goes on");
            printed.push('\n');
        }
    };
    assert!(timeout(LONG, seen).await.is_ok(), "{printed}");
}

#[tokio::test]
async fn check_ends_with_an_error_where_a_start_would() {
    let file = File::new("nonsense = true\n");
    let (checked, begun) = (run(&["--check", "--config", file.path()], &[]).await, run(&["--config", file.path()], &[]).await);
    assert!(!checked.status.success() && !begun.status.success());
    assert_eq!(checked.stderr, begun.stderr);
    assert!(checked.stderr.contains("nonsense") && checked.stdout.is_empty(), "{checked:?}");
}

#[tokio::test]
async fn what_it_does_not_know_ends_it_with_its_usage() {
    for arguments in [&["--prot", "1"][..], &["--config"], &["--listen"], &["file.toml"], &["--config", "x.toml", "--check", "y"]]
    {
        let ran = run(arguments, &[]).await;
        assert!(!ran.status.success() && ran.stderr.contains("--config FILE"), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let ran = run(&["--config", "no-such-file.toml"], &[]).await;
    assert!(!ran.status.success() && ran.stderr.contains("no-such-file.toml"), "{ran:?}");
}
