//! What a failure really is, and what is done about it.

use http_body_util::Full;
use towline::{ClassifyLayer, Credential, FailureKind as K, Target};
use towline_testkit::{Answer, Dialect, ProviderError, Reply};
use towline_tests::hyper;

use crate::support::{Pair, SECOND, chat, request};

/// `insufficient_quota` was retried like a limit that refills.
#[tokio::test(start_paused = true)]
async fn litellm_32798_a_spent_quota_is_asked_for_once_then_another_key_then_another_target() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    pair.first.otherwise(Reply::error_of(Dialect::OpenAiChat, ProviderError::QuotaExhausted));
    let keys = ["one", "two"].map(|key| Credential::bearer(key).unwrap());
    let first = Target::new("first", pair.first.url("")).unwrap().with_keys(keys);
    let stack = towline::stack(hyper()).targets([first, pair.target("second", &pair.second)]).unwrap();
    let service = stack.build().unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let got = pair.ask(&service, chat(false)).await;
        assert_eq!((&*got.who, got.counted()), ("second", 60), "{}", got.trail);
    }
    let shown: Vec<_> = pair.first.requests().iter().map(|asked| asked.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(shown, ["Bearer one", "Bearer two"], "each key once, and then left alone");
    assert!(began.elapsed() < SECOND, "there is nothing to wait for");
}

/// Scaleway says "insufficient quota" of limits that refill within the minute.
#[tokio::test(start_paused = true)]
async fn librechat_357_words_that_sound_like_a_spent_quota_are_a_limit_that_refills() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let said = r#"{"error":{"message":"INSUFFICIENT QUOTA: rate limit exceeded, requests per minute"}}"#;
    pair.first.script([Reply::status(429).header("retry-after", "1").json(said)]);
    let got = pair.ask(&pair.stack().build().unwrap(), chat(false)).await;
    assert_eq!((&*got.trail, got.counted()), ("first rate_limit, first ok", 60));
}

/// "Extra usage is required for long context" was asked for for ever.
#[tokio::test(start_paused = true)]
async fn gsd_2_2803_an_entitlement_that_is_missing_is_asked_for_once() {
    const SAID: &str =
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}"#;
    let pair = Pair::start(Dialect::Anthropic).await;
    pair.first.otherwise(Reply::status(429).json(SAID));
    let got = pair.ask(&pair.stack().build().unwrap(), request(Dialect::Anthropic, false)).await;
    assert_eq!((&*got.who, pair.hits()), ("second", [1, 1]), "{}", got.trail);
}

/// A 200 whose body is an error was an answer.
#[tokio::test(start_paused = true)]
async fn litellm_9035_and_9router_3242_a_200_that_is_an_error_is_one() {
    let said = r#"{"error":{"message":"Internal Server Error","code":500}}"#;
    for (reply, stream) in [
        (Reply::ok().json(said), false),
        (Reply::sse([said]), true),
        (Reply::sse([said, "[DONE]"]), true),
        // Asked for a stream, and answered with a document.
        (Reply::ok().json(said), true),
    ] {
        let pair = Pair::start(Dialect::OpenAiChat).await;
        pair.first.otherwise(reply.clone());
        let got = pair.ask(&pair.stack().build().unwrap(), chat(stream)).await;
        assert_eq!((&*got.who, got.counted(), got.error), ("second", 60, None), "{reply:?}");
        assert_eq!(got.trail, "first server_error, first server_error, first server_error, second ok");
    }
}

/// An empty completion was counted as a success.
#[tokio::test(start_paused = true)]
async fn tensorzero_3799_an_empty_answer_is_a_failure_where_that_is_asked_for() {
    let empty = Answer::text(Vec::<String>::new());
    for (reject, who) in [(true, "second"), (false, "first")] {
        for (dialect, stream) in
            [(Dialect::OpenAiChat, false), (Dialect::OpenAiChat, true), (Dialect::Anthropic, false), (Dialect::Anthropic, true)]
        {
            let pair = Pair::start(dialect).await;
            pair.first.speak(dialect, empty.clone());
            let service = pair.stack().classify(ClassifyLayer::new().reject_empty(reject)).build().unwrap();
            let got = pair.ask(&service, request(dialect, stream)).await;
            assert_eq!((&*got.who, got.status, got.error), (who, 200, None), "{dialect:?} {stream}: {}", got.trail);
        }
    }
}

/// The number 429, quoted from a prompt, made a wrong request a limited one.
#[tokio::test(start_paused = true)]
async fn litellm_11455_a_number_that_is_only_quoted_decides_nothing() {
    let said = r#"{"error":{"message":"Invalid value in messages[0]: 'why do I get 429 and 503?'","type":"invalid_request_error","param":"messages","code":"invalid_value"}}"#;
    let pair = Pair::start(Dialect::OpenAiChat).await;
    pair.first.otherwise(Reply::status(400).json(said));
    let asked = chat(false).map(|_| Full::from(r#"{"model":"m","messages":[{"role":"user","content":"why do I get 429?"}]}"#));
    let got = pair.ask(&pair.stack().build().unwrap(), asked).await;
    assert_eq!((got.status, got.failure, pair.hits()), (400, Some(K::InvalidRequest), [1, 0]));
    assert_eq!(got.text(), said, "the provider's own words");
}
