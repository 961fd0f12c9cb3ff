//! Time limits.

use towline::{CallLayer, FailureKind as K, Phase, TimeoutLayer};
use towline_testkit::{Dialect, Reply, Step};

use crate::support::{Pair, SECOND, answer, chat};

/// Time limits did not fire while the head of a response was waited for.
#[tokio::test(start_paused = true)]
async fn bifrost_7034_every_limit_holds_against_a_silent_peer() {
    let begun = || Reply::stream_of(Dialect::OpenAiChat, &answer()).up_to_piece(3);
    let whole = || Reply::answer(Dialect::OpenAiChat, &answer());
    let attempt = || TimeoutLayer::new();
    let cases = [
        (attempt().head(4 * SECOND).unwrap(), Reply::silence(), false, K::Timeout(Phase::Head)),
        (attempt().head(4 * SECOND).unwrap(), whole().in_head(Step::Hang), false, K::Timeout(Phase::Head)),
        (attempt().head(4 * SECOND).unwrap(), whole().at(0, Step::Hang), false, K::Timeout(Phase::Head)),
        (attempt().first_content(4 * SECOND).unwrap(), Reply::silence(), true, K::Timeout(Phase::FirstContent)),
        (
            attempt().first_content(4 * SECOND).unwrap(),
            begun().after_pieces(0, Step::Hang),
            true,
            K::Timeout(Phase::FirstContent),
        ),
        (attempt().idle(4 * SECOND).unwrap(), begun().then(Step::Hang), true, K::Timeout(Phase::Idle)),
        (attempt().idle(4 * SECOND).unwrap(), whole().at(30, Step::Hang), false, K::Timeout(Phase::Idle)),
        (attempt().content_idle(4 * SECOND).unwrap(), begun().then(Step::Hang), true, K::Timeout(Phase::ContentIdle)),
        (attempt().total(4 * SECOND).unwrap(), Reply::silence(), false, K::Timeout(Phase::Total)),
        (attempt().stream_total(4 * SECOND).unwrap(), begun().then(Step::Hang), true, K::Timeout(Phase::Total)),
    ];
    for (limits, reply, stream, kind) in cases {
        let pair = Pair::start(Dialect::OpenAiChat).await;
        pair.first.otherwise(reply.clone());
        let stack = towline::stack(towline_tests::hyper()).targets([pair.target("first", &pair.first)]).unwrap();
        let service = stack.attempt_timeout(limits).build().unwrap();
        let got = pair.ask(&service, chat(stream)).await;
        assert_eq!((got.error, got.took.as_secs(), pair.first.hits()), (Some(kind), 4, 1), "{reply:?}");
        pair.first.cancelled(1).await;
    }
    // And the deadline over all.
    let pair = Pair::start(Dialect::OpenAiChat).await;
    pair.first.otherwise(Reply::silence());
    pair.second.otherwise(begun().then(Step::Hang));
    let service = pair.stack().call(CallLayer::new().deadline(8 * SECOND).unwrap()).build().unwrap();
    let got = pair.ask(&service, chat(true)).await;
    assert_eq!((got.error, got.took.as_secs(), &*got.trail), (Some(K::DeadlineExceeded), 8, "first timeout, second ok"));
}
