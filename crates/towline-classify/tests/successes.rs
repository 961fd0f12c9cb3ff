//! Successes: what is looked into, what passes, and what is refused.

mod support;

use support::{Script, Seen, Step, classify, classify_for, data, read_all, request, response, told};
use tokio::time::Instant;
use towline_classify::ClassifyLayer;
use towline_core::{Dialect, Failure, FailureKind, Outcome, Target};

const DISGUISED: &str = r#"{"error":{"message":"Internal Server Error","code":500},"user_id":"org_abc123"}"#;
const ANSWER: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

#[tokio::test]
async fn a_small_json_answer_that_is_an_error_is_a_failure() {
    for steps in [vec![data(DISGUISED)], vec![data(&DISGUISED[..30]), Step::Pending, data(&DISGUISED[30..])]] {
        for sized in [true, false] {
            let body = Script::new(steps.clone());
            let answer = classify(&ClassifyLayer::new(), response(200, &[], if sized { body.sized() } else { body })).await;
            assert_eq!(told(&answer), Some(FailureKind::ServerError));
            assert_eq!(answer.status(), 200, "the answer itself is left as it is");
            assert_eq!(read_all(answer.into_body()).data, DISGUISED.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_though_the_status_is_200() {
    let refusal = r#"{"type":"message","content":[],"stop_reason":"refusal"}"#;
    let answer = classify(&ClassifyLayer::new(), response(200, &[], Script::new([data(refusal)]).sized())).await;
    assert_eq!(told(&answer), Some(FailureKind::ContentPolicy));
}

#[tokio::test]
async fn a_usual_answer_has_no_extension() {
    let answer = classify(&ClassifyLayer::new(), response(200, &[], Script::new([data(ANSWER)]).sized())).await;
    assert!(answer.extensions().is_empty());
    assert_eq!(read_all(answer.into_body()).data, ANSWER.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn only_the_first_frame_is_awaited() {
    let began = Instant::now();
    let answer = classify(&ClassifyLayer::new(), response(200, &[], Script::new([data(&ANSWER[..20]), Step::Stall]))).await;
    assert!(answer.extensions().is_empty());
    assert!(began.elapsed().is_zero());
    let body = Script::new([Step::Stall]);
    let answer = classify(&ClassifyLayer::new(), response(200, &[("content-type", "text/plain")], body)).await;
    assert!(answer.extensions().is_empty(), "of what is no JSON, none is");
}

#[tokio::test(start_paused = true)]
async fn what_is_long_compressed_or_not_asked_to_be_looked_into_passes() {
    let stalled = || Script::new([Step::Stall]);
    let long = Script::new([Step::Stall, data("x".repeat(64 * 1024 + 1))]).sized();
    for (layer, answer) in [
        (ClassifyLayer::new(), response(200, &[], long)),
        (ClassifyLayer::new(), response(200, &[("content-encoding", "gzip")], stalled())),
        (ClassifyLayer::new().look_into_success(false), response(200, &[], stalled())),
        (ClassifyLayer::new(), response(204, &[], stalled())),
    ] {
        let began = Instant::now();
        assert!(classify(&layer, answer).await.extensions().is_empty());
        assert!(began.elapsed().is_zero());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_before_its_first_byte_is_a_failure_and_breaks_for_its_reader() {
    let answer = classify(&ClassifyLayer::new(), response(200, &[], Script::new([Step::Pending, Step::Break]))).await;
    assert_eq!(told(&answer), Some(FailureKind::StreamBroken));
    assert_eq!(read_all(answer.into_body()), Seen::of(&[Step::Break]));
}

#[tokio::test]
async fn a_validator_may_refuse_what_was_read_whole() {
    let layer = ClassifyLayer::new().validate(|_, _| Ok(())).validate(|parts, body| {
        assert_eq!(parts.status, 200);
        if body.ends_with(b"}") { Ok(()) } else { Err(Failure::new(FailureKind::Malformed)) }
    });
    for (text, expected) in [(ANSWER, None), ("{\"cut", Some(FailureKind::Malformed)), ("", Some(FailureKind::Malformed))] {
        for kind in ["application/json; charset=utf-8", "text/html", "application/problem+json"] {
            let answer = classify(&layer, response(200, &[("content-type", kind)], Script::new([data(text)]))).await;
            assert_eq!(told(&answer), expected, "{text} as {kind}");
            assert_eq!(read_all(answer.into_body()).data, text.as_bytes());
        }
        let stream = Script::new([data("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n")]);
        let answer = classify(&layer, response(200, &[("content-type", "text/event-stream")], stream)).await;
        assert_eq!(told(&answer), None, "streams pass unseen");
    }
}

#[tokio::test(start_paused = true)]
async fn a_validator_is_not_asked_about_a_part() {
    let layer = ClassifyLayer::new().validate(|_, _| Err(Failure::new(FailureKind::Malformed)));
    for steps in [vec![data("{"), Step::Stall], vec![data("x".repeat(70_000)), Step::Pending, data("y")]] {
        let answer = classify(&layer, response(200, &[], Script::new(steps.clone()))).await;
        assert_eq!(told(&answer), None);
        assert_eq!(read_all(answer.into_body()), Seen::of(&steps));
    }
}

#[tokio::test]
async fn an_empty_answer_is_refused_only_where_that_is_asked_for() {
    let empty = r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#;
    for (layer, expected) in
        [(ClassifyLayer::new(), None), (ClassifyLayer::new().reject_empty(true), Some(FailureKind::Malformed))]
    {
        let answer = classify(&layer, response(200, &[], Script::new([data(empty)]))).await;
        assert_eq!(told(&answer), expected);
    }
}

#[tokio::test]
async fn a_rule_is_asked_about_a_success_that_was_read() {
    let mut request = request();
    request.extensions_mut().insert(Target::new("t", "http://provider.test").unwrap().with_dialect(Dialect::OpenAiChat));
    let layer = ClassifyLayer::new().rule(|parts, _| parts.status.is_success().then_some(Outcome::Success));
    let answer = classify_for(&layer, request, response(200, &[], Script::new([data(DISGUISED)]))).await;
    assert_eq!(told(&answer), None, "it knows better");
}

#[tokio::test]
async fn an_error_that_comes_after_blanks_or_in_pieces_is_read_all_the_same() {
    const OVERLOADED: &str = r#"{"error":{"message":"Overloaded","type":"overloaded_error"}}"#;
    for pieces in [["\n\n", OVERLOADED], ["", OVERLOADED], OVERLOADED.split_at(6).into()] {
        let answer = classify(&ClassifyLayer::new(), response(200, &[], Script::new(pieces.map(data)))).await;
        assert_eq!(Outcome::of_response(&answer).into_failure().map(|f| f.kind), Some(FailureKind::Overloaded), "{pieces:?}");
        assert_eq!(read_all(answer.into_body()).data, pieces.concat().as_bytes(), "handed on whole");
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_no_json_from_end_to_end_is_malformed() {
    for text in ["{\"broken\": [1, 2,", "<html><body>Welcome</body></html>", "{\"choices\":[{\"message\":{\"content\":\"Hel"] {
        let body = || Script::new([data(text)]);
        let answer = classify(&ClassifyLayer::new(), response(200, &[], body().sized())).await;
        assert_eq!(told(&answer), Some(FailureKind::Malformed), "{text}");
        assert_eq!(read_all(answer.into_body()).data, text.as_bytes(), "handed on as it is");
        let answer = classify(&ClassifyLayer::new(), response(200, &[("content-type", "text/plain")], body().sized())).await;
        assert_eq!(told(&answer), None, "it does not say that it is JSON");
        let answer = classify(&ClassifyLayer::new(), response(200, &[], body())).await;
        assert_eq!(told(&answer), None, "more may come");
    }
    let lines = Script::new([data("{\"id\":\"the first\"}\n{\"id\":\"the second\"}\n")]).sized();
    assert_eq!(told(&classify(&ClassifyLayer::new(), response(200, &[], lines)).await), None);
}
