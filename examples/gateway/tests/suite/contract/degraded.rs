//! What a caller gets when nobody could answer.

use towline_testkit::{Answer, Dialect, ProviderError, Reply};

use crate::support::{Gateway, Said, pair, path, question, started};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::Anthropic];
const QUICK: &str = "backoff = { base = \"1ms\", max = \"2ms\" }";

#[tokio::test]
async fn a_text_answers_in_the_callers_dialect_and_says_that_it_is_none_of_a_models() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
        b.otherwise(Reply::error_of(dialect, ProviderError::ServerError));
        let model = format!("{QUICK}\ndegrade = {{ text = \"We are back in a minute.\" }}");
        let gateway = Gateway::start(&pair(dialect, [&a, &b], &model, "retries = 0")).await;
        for stream in [false, true] {
            let answer = gateway.ask(dialect, stream).await;
            assert_eq!((answer.status, answer.header("x-towline-degraded")), (200, Some("true")), "{}", answer.text());
            let said = Said::read(dialect, &answer);
            assert_eq!(
                (said.text.as_str(), said.finished, said.error, said.unreadable),
                ("We are back in a minute.", true, None, 0)
            );
            assert!(answer.header("x-request-id").is_some());
        }
        assert!(a.hits() > 0 && b.hits() > 0);
    }
}

#[tokio::test]
async fn what_is_the_callers_own_mistake_is_not_covered_up() {
    let [a, b] = started().await;
    a.otherwise(Reply::error_of(Dialect::OpenAiChat, ProviderError::InvalidRequest));
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "degrade = { text = \"Later.\" }", "")).await;
    let answer = gateway.ask(Dialect::OpenAiChat, false).await;
    assert_eq!((answer.status, answer.header("x-towline-degraded")), (400, None), "{}", answer.text());
}

#[tokio::test]
async fn a_cache_answers_the_same_question_while_nobody_else_can_and_no_other() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.speak(dialect, Answer::counting(4));
        let model = format!("{QUICK}\ndegrade = {{ cache = \"30m\" }}");
        let gateway = Gateway::start(&pair(dialect, [&a, &b], &model, "retries = 0")).await;
        assert_eq!(gateway.ask(dialect, false).await.header("x-towline-degraded"), None);
        a.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
        b.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
        let answer = gateway.ask(dialect, false).await;
        assert_eq!((answer.status, answer.header("x-towline-degraded")), (200, Some("true")), "{}", answer.text());
        assert_eq!(Said::read(dialect, &answer).text, "1 2 3 4 ");
        let mut other = question(dialect, false);
        other["temperature"] = 0.5.into();
        let answer = gateway.post(path(dialect), other).await;
        assert!(answer.status >= 500 && answer.error(dialect).is_some(), "{}", answer.text());
    }
}

#[tokio::test]
async fn without_a_word_about_it_the_failure_is_loud() {
    let [a, b] = started().await;
    a.otherwise(Reply::error_of(Dialect::OpenAiChat, ProviderError::Overloaded));
    b.otherwise(Reply::error_of(Dialect::OpenAiChat, ProviderError::Overloaded));
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], QUICK, "retries = 0")).await;
    let answer = gateway.ask(Dialect::OpenAiChat, false).await;
    assert_eq!((answer.status, answer.header("x-towline-degraded")), (503, None), "{}", answer.text());
}
