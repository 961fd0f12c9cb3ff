//! The examples do what they say: each is run as a newcomer would run it, and its words are read.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// What an example prints. It is built by the cargo that runs this test, from the lock file.
fn run(example: &str) -> String {
    let run = Command::new(env!("CARGO")).args(["run", "--quiet", "--locked", "--package", example]).output().unwrap();
    let printed = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{example} ended with {}:\n{printed}\n{}", run.status, String::from_utf8_lossy(&run.stderr));
    printed
}

/// What an example prints when it is fed `input`.
fn feed(example: &str, args: &[&str], input: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(["run", "--quiet", "--locked", "--package", example, "--"]).args(args);
    let mut child = cargo.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let run = child.wait_with_output().unwrap();
    assert!(run.status.success(), "{example} ended with {}", run.status);
    String::from_utf8(run.stdout).unwrap()
}

/// Asserts that `printed` has each of `lines`, in this order.
fn assert_tells(printed: &str, lines: &[&str]) {
    let mut rest = printed;
    for line in lines {
        let at = rest.find(line);
        assert!(at.is_some(), "{line:?} is missing, or comes too early, in:\n{printed}");
        rest = rest.get(at.unwrap() + line.len()..).unwrap();
    }
}

#[test]
fn the_gateway_shows_what_becomes_of_each_call_while_its_providers_misbehave() {
    let printed = feed("gateway", &["--calls", "7", "--every", "20"], "");
    assert_tells(
        &printed,
        &[
            "listening on http://127.0.0.1:",
            "1. all is well",
            "200 OK by first/strong",
            "2. the first limits the rate, once",
            "200 OK by first/strong",
            "- first/strong: rate_limit 429",
            "- first/strong: ok 200",
            "3. the first resets the connection, once",
            "- first/strong: transport",
            "4. the first says 200, and within it that it is overloaded",
            "- first/strong: overloaded 200",
            "5. the first takes the request and is silent",
            "200 OK by second/other",
            "- first/strong: timeout",
            "6. the first is down",
            "- first/strong: overloaded 503",
            "7. the first is still down, and is left alone",
            "- first/strong: circuit_open",
            "- second/other: ok 200",
        ],
    );
}

#[test]
fn the_quickstart_rides_through_it_all_over_to_the_second_target_and_back() {
    let printed = run("quickstart");
    assert_tells(
        &printed,
        &[
            "primary: attempt 1 failed: the provider limits the rate; retry after 400ms",
            "primary: attempt 2 failed: the provider is overloaded",
            "=> 200 OK by primary after 3 attempts",
            "primary: attempt 1 failed: the connection failed while the request was under way",
            "=> 200 OK by primary after 2 attempts",
            "primary: timed out after 500 ms (head)",
            "primary -> second",
            "=> 200 OK by second after 2 attempts",
            "primary: the circuit opens",
            "primary: the circuit is open, nothing is sent",
            "=> 200 OK by second",
            "primary: the circuit lets a probe through",
            "primary: the circuit closes",
            "=> 200 OK by primary after 1 attempts: {\"text\":\"hello again from the primary\"}",
            "0 of them carried the caller's own key",
        ],
    );
}

#[test]
fn the_reqwest_client_is_answered_by_the_second_with_its_own_model() {
    assert_tells(
        &run("reqwest-client"),
        &["answered with 200 OK by second", "first: overloaded 529", "second: ok 200", "claude-haiku-4-5"],
    );
}

#[test]
fn the_axum_app_refuses_on_one_route_what_failed_on_the_other() {
    let printed = run("axum-app");
    assert_tells(
        &printed,
        &[
            "POST /v1/messages: 503",
            "the provider has seen 2 requests",
            "POST /v1/chat/completions: 503",
            "the provider has seen 2 requests",
            "circuit_open",
        ],
    );
}

#[test]
fn the_breaker_alone_sends_nothing_while_it_is_open() {
    let printed = run("a-la-carte");
    assert_tells(
        &printed,
        &[
            "call 3: 503",
            "circuit: Open",
            "call 6: the circuit is open",
            "the provider has seen 3 requests",
            "call 7: 200",
            "circuit: Closed",
        ],
    );
}

#[test]
fn the_dashboard_shows_a_circuit_open_half_open_ramp_and_close() {
    let printed = feed("breaker-dashboard", &["--quick"], "");
    assert_tells(&printed, &["closed", "-> open for", "-> half-open", "-> ramping, 10 %", "-> closed", "closed", "requests"]);
}

#[test]
fn the_stream_whose_first_event_is_an_error_is_asked_for_again_and_comes_whole() {
    assert_tells(
        &run("streaming"),
        &[
            "the provider is overloaded; attempt 2 in",
            "Because each one can be understood alone.",
            "the provider was asked 2 times",
        ],
    );
}

#[test]
fn the_chain_takes_the_second_key_then_the_second_provider_and_tells_the_trail() {
    assert_tells(
        &run("fallback-chain"),
        &[
            "200 OK by primary after 2 attempts: Hello from the primary.",
            "- primary: rate_limit 429",
            "- primary: ok 200",
            "200 OK by second after 3 attempts: Hello from the second.",
            "moved on because of: overloaded",
            "- second: ok 200",
            "503 Service Unavailable by primary after 4 attempts",
            "- second: server_error 500",
        ],
    );
}

#[test]
fn fifty_calls_at_once_wait_in_line_and_none_is_answered_429() {
    let printed = run("limits");
    assert_tells(&printed, &["without a limiter", "of 50 were answered 429", "at once, each in the line of its key"]);
    assert!(!printed.contains("# 50 calls at once, without a limiter\n  0 of 50"), "its limits are real:\n{printed}");
    assert_tells(&printed, &["s for requests a minute", "s for tokens a minute", "\n  0 of 50 were answered 429"]);
}

#[test]
fn chaos_tells_what_a_chain_makes_of_each_bad_day() {
    assert_tells(
        &run("chaos"),
        &[
            "# a quiet day",
            "injected: 0 answers, 0 errors, 0 waits, 0 cuts",
            "whole answers: 40 by primary, 0 by second; errors: 0",
            "# the primary has a bad day",
            "errors: 0;",
            "# the primary is gone",
            "whole answers: 0 by primary, 40 by second; errors: 0",
            "# a quarter of the primary's streams break in the middle",
            "# everybody is overloaded",
            "whole answers: 0 by primary, 0 by second; errors: 40",
        ],
    );
}

#[test]
fn what_nobody_can_answer_is_answered_as_it_was_designed() {
    assert_tells(
        &run("degrade"),
        &[
            "200 OK (no substitute): {\"content\":[{\"type\":\"text\",\"text\":\"Because layers stack.\"}]}",
            "200 OK (stale): {\"content\":[{\"type\":\"text\",\"text\":\"Because layers stack.\"}]}",
            "200 OK (static)",
            "I cannot think at the moment.",
            "202 Accepted (queued): {\"ticket\":",
            "503 Service Unavailable (no substitute)",
        ],
    );
}

#[test]
fn classify_tells_failures_and_limits_a_line_each() {
    let failures = concat!(
        r#"{"id":"q","status":429,"headers":{},"body":"{\"error\":{\"code\":\"insufficient_quota\"}}"}"#,
        "\n\n",
        r#"{"id":"s","phase":"stream","status":200,"body":"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"}"#,
        "\n",
    );
    let told = feed("classify", &[], failures);
    assert_tells(
        &told,
        &[
            r#""class":"quota_exhausted","fallback":"other_credential","id":"q""#,
            r#""class":"overloaded","fallback":"any","id":"s""#,
        ],
    );
    let limits = r#"{"id":"l","headers":{"x-ratelimit-limit-requests":"60","x-ratelimit-reset-requests":"1m2s"},"now":"2026-01-01T00:00:00Z"}"#;
    assert_tells(&feed("classify", &["--limits"], limits), &[r#""limit_requests":60"#, r#""reset_requests_s":62.0"#]);
}
