//! Streams that fail: before anything was handed on they are another attempt, after it an error that nobody can miss.

use std::sync::Arc;

use parking_lot::Mutex;
use towline::{
    CircuitBreakerLayer, CircuitState, ClassifyLayer, Event, FailureKind as K, Observe, Phase, StreamEnd, TimeoutLayer,
};
use towline_testkit::{Answer, Dialect, ProviderError, Reply, Step};

use crate::support::{Pair, SECOND, answer, chat, request};

const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];

/// How streams ended.
#[derive(Default)]
struct Ends(Mutex<Vec<StreamEnd>>);

impl Observe for Ends {
    fn observe(&self, event: &Event<'_>) {
        if let Event::StreamEnded { end, .. } = event {
            self.0.lock().push((*end).clone());
        }
    }
}

/// An upstream that was cut in the middle of an answer ended as a clean 200.
#[tokio::test(start_paused = true)]
async fn portkey_1797_an_answer_that_is_cut_ends_with_an_error_and_counts_against_its_provider() {
    for dialect in DIALECTS {
        let pair = Pair::start(dialect).await;
        // In order as HTTP has it: the last chunk is there, and the answer is not.
        pair.first.otherwise(Reply::stream_of(dialect, &answer()).up_to_piece(12));
        let breaker = CircuitBreakerLayer::new().consecutive_failures(1).unwrap();
        let ends = Arc::new(Ends::default());
        let classify = ClassifyLayer::new().observer(Arc::clone(&ends));
        let service = pair.stack().circuit_breaker(breaker.clone()).classify(classify).build().unwrap();
        let got = pair.ask(&service, request(dialect, true)).await;
        assert_eq!((got.status, got.counted(), got.error), (200, 12, Some(K::StreamBroken)), "{dialect:?}");
        assert!(!got.text().contains("[DONE]") && !got.text().contains("\"stop\""), "{}", got.text());
        assert_eq!((got.end, ends.0.lock().clone()), (Some(StreamEnd::Cut), vec![StreamEnd::Cut]));
        assert!(matches!(breaker.handle().state(Some("first")), CircuitState::Open { .. }), "{dialect:?}");
        assert_eq!(pair.hits(), [1, 0]);
    }
}

/// A fallback got no request when a stream was cut, stalled or malformed, and nothing said what was to happen.
#[tokio::test(start_paused = true)]
async fn litellm_40404_by_default_a_begun_answer_that_breaks_ends_with_an_error_however_it_breaks() {
    // What comes with the first content is not after it.
    let begun = || Reply::stream_of(Dialect::OpenAiChat, &answer()).up_to_piece(7).wait(SECOND);
    let breaks: [(Reply, K); 4] = [
        (begun().then(Step::Close), K::StreamBroken),
        (begun(), K::StreamBroken),
        (begun().then(Step::Hang), K::Timeout(Phase::Idle)),
        (begun().error_event(Dialect::OpenAiChat, ProviderError::Overloaded), K::Overloaded),
    ];
    for (reply, kind) in breaks {
        let pair = Pair::start(Dialect::OpenAiChat).await;
        pair.first.otherwise(reply);
        let service = pair.stack().build().unwrap();
        let got = pair.ask(&service, chat(true)).await;
        let told = got.error.or_else(|| match got.end.clone() {
            // The provider's own error event is handed on as it is.
            Some(StreamEnd::Failed(failure)) => Some(failure.kind),
            _ => None,
        });
        assert_eq!((got.counted(), told, pair.hits()), (7, Some(kind), [1, 0]), "{}", got.text());
        assert!(got.error.is_some() || got.text().contains("overloaded"), "nobody takes it for a whole one");
    }
}

/// `response.created`, and then an error, in a stream with a 200.
#[tokio::test(start_paused = true)]
async fn bifrost_5395_an_error_after_the_opening_of_a_stream_is_still_another_attempt() {
    for (dialect, opening) in
        [(Dialect::OpenAiResponses, 2), (Dialect::Anthropic, 3), (Dialect::OpenAiChat, 1), (Dialect::Bedrock, 1)]
    {
        let pair = Pair::start(dialect).await;
        let reply = Reply::stream_of(dialect, &answer()).up_to_event(opening);
        pair.first.otherwise(reply.error_event(dialect, ProviderError::ServerError));
        let got = pair.ask(&pair.stack().build().unwrap(), request(dialect, true)).await;
        assert_eq!((&*got.who, got.counted(), got.error), ("second", 60, None), "{dialect:?}");
        assert_eq!(got.trail.matches("first server_error").count(), 3, "{dialect:?}: {}", got.trail);
    }
}

/// No retry, though not a chunk had been sent to the caller.
#[tokio::test(start_paused = true)]
async fn bifrost_2917_as_long_as_no_byte_was_handed_on_there_is_another_attempt() {
    let ping = || Reply::stream().chunk(": ping\n\n");
    for reply in [
        Reply::stream().then(Step::Close),
        Reply::stream().then(Step::Reset),
        ping().chunk(": ping\n\n").then(Step::Close),
        Reply::stream_of(Dialect::OpenAiChat, &answer()).up_to_event(1).then(Step::Close),
        Reply::ok().json("{\"choices\":[").at(0, Step::Close),
    ] {
        let pair = Pair::start(Dialect::OpenAiChat).await;
        pair.first.script([reply.clone()]);
        let got = pair.ask(&pair.stack().build().unwrap(), chat(true)).await;
        assert_eq!((&*got.who, got.counted(), got.error, pair.hits()), ("first", 60, None, [2, 0]), "{reply:?}");
    }
}

/// An error at the beginning of a stream went to the fallback, and the retries were never considered.
#[tokio::test(start_paused = true)]
async fn litellm_29808_retries_come_before_the_fallback_for_streams_too() {
    let pair = Pair::start(Dialect::Anthropic).await;
    let early = || Reply::stream().error_event(Dialect::Anthropic, ProviderError::Overloaded);
    pair.first.script([early()]);
    let service = pair.stack().build().unwrap();
    let got = pair.ask(&service, request(Dialect::Anthropic, true)).await;
    assert_eq!((&*got.trail, got.counted()), ("first overloaded, first ok", 60));
    pair.first.otherwise(early());
    let got = pair.ask(&service, request(Dialect::Anthropic, true)).await;
    assert_eq!((&*got.trail, got.counted()), ("first overloaded, first overloaded, first overloaded, second ok", 60));
}

/// The Responses API, and streams that were opened lazily, bypassed retries and fallback.
#[tokio::test(start_paused = true)]
async fn litellm_28216_every_dialect_and_every_stream_goes_the_same_way() {
    for (dialect, stream) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, true), (dialect, false)]) {
        let pair = Pair::start(dialect).await;
        // A head alone is no answer: it is the first content that is waited for.
        let lazy = if stream { Reply::stream_of(dialect, &answer()).up_to_event(0) } else { Reply::ok().json("{") };
        pair.first.script([Reply::error_of(dialect, ProviderError::ServerError), lazy.then(Step::Close)]);
        let got = pair.ask(&pair.stack().build().unwrap(), request(dialect, stream)).await;
        assert_eq!((&*got.who, got.counted(), got.error), ("first", 60, None), "{dialect:?} {stream}: {}", got.trail);
        assert_eq!(pair.hits(), [3, 0], "{dialect:?} {stream}");
    }
}

/// A stream of one token a second never hit the limit on silence.
#[tokio::test(start_paused = true)]
async fn bifrost_6472_a_trickle_is_cut_before_content_and_after_it() {
    let limits = TimeoutLayer::attempt().first_content(10 * SECOND).unwrap().min_throughput(400, 10 * SECOND).unwrap();
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let service = pair.stack().attempt_timeout(limits).build().unwrap();
    // An event of about 120 bytes each second, and no second is silent.
    let trickle = (0..60)
        .rev()
        .fold(Reply::stream_of(Dialect::OpenAiChat, &answer()), |reply, n| reply.after_pieces(n, Step::Wait(SECOND)));
    pair.first.script([trickle]);
    let got = pair.ask(&service, chat(true)).await;
    assert_eq!((got.error, pair.hits()), (Some(K::Timeout(Phase::Throughput)), [1, 0]));
    assert!(got.took <= 22 * SECOND && got.counted() > 0, "{:?}", got.took);
    // Pings for ever, and no content: nothing was handed on, so another answers.
    let pings = (0..100).fold(Reply::stream(), |reply, _| reply.chunk(": ping\n\n").wait(SECOND));
    pair.first.script([pings]);
    let got = pair.ask(&service, chat(true)).await;
    assert_eq!((&*got.who, got.counted(), got.error), ("second", 60, None));
    assert!(got.took <= 11 * SECOND, "{:?}", got.took);
}

/// An error after content that was taken for none had the answer said twice.
#[tokio::test(start_paused = true)]
async fn litellm_32835_what_was_handed_on_is_never_said_again_whatever_it_was() {
    let tool = Answer::text(Vec::<String>::new()).tool_call("count", r#"{"to":60}"#);
    for dialect in DIALECTS.into_iter().filter(|dialect| *dialect != Dialect::Gemini) {
        let pair = Pair::start(dialect).await;
        let opening = match dialect {
            Dialect::OpenAiResponses | Dialect::Anthropic => 4,
            _ => 3,
        };
        let begun = Reply::stream_of(dialect, &tool).up_to_event(opening).wait(SECOND);
        pair.first.otherwise(begun.error_event(dialect, ProviderError::ServerError));
        let got = pair.ask(&pair.stack().build().unwrap(), request(dialect, true)).await;
        // The first piece of a tool's call has no text, and is content all the same.
        assert_eq!((pair.hits(), &*got.trail), ([1, 0], "first ok"), "{dialect:?}");
        assert!(matches!(got.end, Some(StreamEnd::Failed(_))) && got.text().contains("\"count\""), "{dialect:?}");
    }
}
