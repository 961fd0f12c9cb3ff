//! What the provider says is what readers of each dialect understand.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod support;

use http::{HeaderMap, StatusCode};
use support::{ask, client, post, read};
use towline_core::{FailureKind, RetryVerdict};
use towline_testkit::{Answer, Dialect, MockProvider, ProviderError, Reply};
use towline_wire::{
    error, limits,
    stream::{Content, Step, StreamReader, Usage},
};

const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];

/// What came over a socket.
struct Came {
    status: StatusCode,
    headers: HeaderMap,
    body: bytes::Bytes,
}

async fn came(reply: Reply) -> Came {
    let provider = MockProvider::start_with([reply]).await.unwrap();
    let response = ask(provider.url("/")).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Came { status, headers, body: read(response).await.unwrap() }
}

/// Reads a stream that came, event by event.
fn steps(came: &Came) -> (Vec<Step>, StreamReader) {
    let mut reader = StreamReader::new();
    reader.push(came.body.clone());
    let mut steps = Vec::new();
    while let Some(progress) = reader.next_step() {
        steps.push(progress.step);
    }
    reader.finish();
    assert!(reader.next_step().is_none(), "nothing is left unterminated");
    (steps, reader)
}

fn failure(dialect: Option<Dialect>, came: &Came) -> Option<towline_core::Failure> {
    let answer = error::Answer { status: came.status, headers: &came.headers, body: &came.body, dialect };
    answer.failure(towline_core::wall_clock())
}

fn count(steps: &[Step], what: &Content) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Content(content) if content == what)).count()
}

#[tokio::test]
async fn a_stream_is_whole_in_every_dialect() {
    for dialect in DIALECTS {
        let came = came(Reply::stream_of(dialect, &Answer::counting(7).usage(21, 43))).await;
        let binary = dialect == Dialect::Bedrock;
        let kind = if binary { "application/vnd.amazon.eventstream" } else { "text/event-stream" };
        assert_eq!((came.status, &came.headers["content-type"]), (StatusCode::OK, &kind.parse().unwrap()));
        let (steps, reader) = steps(&came);
        assert_eq!(
            count(&steps, &Content::Text),
            if dialect == Dialect::OpenAiResponses { 8 } else { 7 },
            "{dialect:?} {steps:?}"
        );
        assert!(steps.iter().all(|step| !matches!(step, Step::Malformed | Step::Error(_))), "{dialect:?}");
        let Usage { input, output, .. } = reader.usage();
        assert_eq!((input, output), (Some(21), Some(43)), "{dialect:?}");
        assert_eq!((reader.has_ended(), reader.verdict()), (true, None), "{dialect:?}");
        assert_eq!(binary, std::str::from_utf8(&came.body).is_err());
    }
}

#[tokio::test]
async fn a_tool_call_is_streamed_in_every_dialect() {
    for dialect in DIALECTS {
        for pieces in [0, 2] {
            let answer = Answer::counting(pieces).tool_call("weather", "{\"city\":\"Oslo\"}");
            let (steps, reader) = steps(&came(Reply::stream_of(dialect, &answer)).await);
            assert!(count(&steps, &Content::Tool) > 0, "{dialect:?} {steps:?}");
            assert_eq!(reader.verdict(), None, "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_whole_answer_is_a_success_with_its_usage_in_every_dialect() {
    let answers = [Answer::counting(3).usage(21, 43), Answer::counting(0).tool_call("weather", "{}").usage(21, 43)];
    for (dialect, answer) in DIALECTS.iter().flat_map(|dialect| answers.iter().map(move |answer| (*dialect, answer))) {
        let came = came(Reply::answer(dialect, answer)).await;
        assert_eq!(failure(Some(dialect), &came), None, "{dialect:?}");
        let usage = Usage::of_answer(&came.body).unwrap();
        assert_eq!((usage.input, usage.output), (Some(21), Some(43)), "{dialect:?}");
        let text = std::str::from_utf8(&came.body).unwrap();
        assert!(text.contains("1 2 3 ") || text.contains("weather"), "{text}");
    }
}

#[tokio::test]
async fn each_error_is_read_as_what_was_meant_in_every_dialect() {
    for dialect in DIALECTS {
        for error in ProviderError::ALL {
            let came = came(Reply::error_of(dialect, error)).await;
            for told in [Some(dialect), None] {
                let failure = failure(told, &came).unwrap_or_else(|| panic!("{dialect:?} {error:?} is no failure"));
                assert_eq!(failure.kind, error.kind(), "{dialect:?} {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_time_to_come_back_is_told_where_the_dialect_tells_it() {
    for dialect in DIALECTS {
        for ms in [2000, 1500] {
            let wait = std::time::Duration::from_millis(ms);
            let came = came(Reply::error_of(dialect, ProviderError::RateLimited(Some(wait)))).await;
            let failure = failure(None, &came).unwrap();
            let told = failure.hint.retry_after.unwrap();
            assert!(told == wait || told.as_secs() == 2 && told.subsec_nanos() == 0, "{dialect:?} {told:?}");
            assert_eq!(failure.retry, RetryVerdict::Backoff);
            assert_eq!(came.headers.contains_key("retry-after"), dialect != Dialect::Gemini);
        }
        let silent = came(Reply::error_of(dialect, ProviderError::RateLimited(None))).await;
        assert_eq!(failure(None, &silent).unwrap().hint.retry_after, None, "{dialect:?}");
    }
}

#[tokio::test]
async fn openai_and_anthropic_tell_that_nothing_is_left() {
    for dialect in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic] {
        let came = came(Reply::error_of(dialect, ProviderError::RateLimited(None))).await;
        let limits = limits::read(&came.headers, towline_core::wall_clock());
        assert_eq!(limits.requests.remaining, Some(0), "{dialect:?}");
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_read_as_what_was_meant() {
    let answer = Answer::counting(5);
    for dialect in DIALECTS {
        for error in ProviderError::ALL {
            for pieces in [None, Some(0), Some(2)] {
                let begun = Reply::stream_of(dialect, &answer);
                let begun = pieces.map_or_else(|| begun.clone().up_to_event(0), |n| begun.clone().up_to_piece(n));
                let (steps, reader) = steps(&came(begun.error_event(dialect, error)).await);
                assert_eq!(count(&steps, &Content::Text), pieces.unwrap_or(0), "{dialect:?}");
                let failure = reader.verdict().unwrap_or_else(|| panic!("{dialect:?} {error:?} is no failure"));
                assert_eq!(failure.kind, error.kind(), "{dialect:?} {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_broken_in_every_dialect() {
    for dialect in DIALECTS {
        let cut = |n| Reply::stream_of(dialect, &Answer::counting(5)).up_to_piece(n);
        let (seen, reader) = steps(&came(cut(3)).await);
        assert_eq!(count(&seen, &Content::Text), 3, "{dialect:?} {seen:?}");
        assert_eq!(reader.verdict().map(|f| f.kind), Some(FailureKind::StreamBroken), "{dialect:?}");
        let (_, reader) = steps(&came(cut(0)).await);
        assert_eq!(reader.verdict().map(|f| f.kind), Some(FailureKind::Malformed), "{dialect:?}");
    }
}

#[tokio::test]
async fn a_provider_speaks_as_it_is_asked() {
    let answer = Answer::counting(2).model("large-1");
    for dialect in DIALECTS {
        let provider = MockProvider::start().await.unwrap();
        provider.speak(dialect, answer.clone());
        let path = |stream| match dialect {
            Dialect::Gemini if stream => "/v1beta/models/large-1:streamGenerateContent?alt=sse",
            Dialect::Gemini => "/v1beta/models/large-1:generateContent",
            Dialect::Bedrock if stream => "/model/large-1/converse-stream",
            Dialect::Bedrock => "/model/large-1/converse",
            _ => "/v1/x",
        };
        for stream in [false, true] {
            let body = format!("{{\"stream\":{stream}}}");
            let response = client().request(post(provider.url(path(stream)), body)).await.unwrap();
            let json = response.headers()["content-type"] == "application/json";
            assert_eq!(json, !stream, "{dialect:?}");
            let body = read(response).await.unwrap();
            let named = String::from_utf8_lossy(&body).contains("large-1");
            assert_eq!(named, dialect != Dialect::Bedrock, "all but Bedrock name the model");
        }
    }
}

#[tokio::test]
async fn openai_chat_tells_the_usage_of_a_stream_only_if_asked() {
    let provider = MockProvider::start().await.unwrap();
    provider.speak(Dialect::OpenAiChat, Answer::counting(2));
    for (asked, body) in [(false, r#"{"stream":true}"#), (true, r#"{"stream":true,"stream_options":{"include_usage":true}}"#)] {
        let body = read(client().request(post(provider.url("/"), body)).await.unwrap()).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body).contains("prompt_tokens"), asked);
        assert!(body.ends_with(b"data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn gemini_ends_its_lines_with_crlf_and_has_no_terminator() {
    let body = came(Reply::stream_of(Dialect::Gemini, &Answer::counting(2))).await.body;
    let text = std::str::from_utf8(&body).unwrap();
    assert_eq!(text.matches("\r\n\r\n").count(), 3);
    assert!(!text.replace("\r\n", "").contains('\n') && !text.contains("[DONE]"));
    assert!(text.contains("\"finishReason\":\"STOP\""));
}

#[test]
fn events_follow_the_order_of_the_dialect() {
    let names = |dialect| {
        let reply = format!("{:?}", Reply::stream_of(dialect, &Answer::counting(1)));
        let named = reply.split("event: ").skip(1).filter_map(|part| part.split("\\n").next().map(str::to_owned));
        named.collect::<Vec<_>>()
    };
    let anthropic =
        ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta"];
    assert_eq!(names(Dialect::Anthropic), [&anthropic[..], &["message_stop"]].concat());
    let responses =
        ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done"];
    let responses = [&responses[..], &["content_part.done", "output_item.done", "completed"]].concat();
    assert_eq!(names(Dialect::OpenAiResponses), responses.iter().map(|name| format!("response.{name}")).collect::<Vec<_>>());
}

#[test]
fn steps_stand_between_events() {
    use towline_testkit::Step as S;
    let reply = Reply::sse(["1", "2", "3"]).after_events(2, S::Close).after_events(0, S::Hang).after_events(9, S::Reset);
    let shown = format!("{reply:?}");
    let at = |what: &str| shown.find(what).unwrap();
    assert!(
        at("Hang") < at("data: 1") && at("data: 2") < at("Close") && at("Close") < at("data: 3") && at("data: 3") < at("Reset")
    );
    let piece = format!("{:?}", Reply::stream_of(Dialect::Anthropic, &Answer::counting(2)).after_pieces(1, S::Hang));
    assert!(piece.find("1 ").unwrap() < piece.find("Hang").unwrap() && piece.find("Hang").unwrap() < piece.find("2 ").unwrap());
}
