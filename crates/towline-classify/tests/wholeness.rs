//! Whatever is read, held and judged: each frame, trailer and error arrives once and in order, and a drop leaves nothing.

mod support;

use std::{pin::pin, task::Poll, time::Duration};

use proptest::{collection::vec, prelude::*, sample::select};
use support::{Script, Seen, Step, answering, classify, data, read_all, request, response};
use tower::{Layer, ServiceExt};
use towline_classify::ClassifyLayer;
use towline_core::{Failure, FailureKind, Outcome, StreamHandle};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let piece = select(vec![
        "",
        "{",
        "}",
        "{\"error\":{",
        "\"code\":500}",
        " ",
        "data: [DONE]\n\n",
        "data: {\"choices\":[{\"delta\":",
        "\"x\"",
    ]);
    let step =
        prop_oneof![8 => piece.prop_map(data), 4 => Just(Step::Pending), 1 => Just(Step::Trailers), 1 => Just(Step::Break)];
    // Nothing follows trailers or an error.
    vec(step, 0..12).prop_map(|mut steps| {
        let last = steps.iter().position(|step| matches!(step, Step::Trailers | Step::Break));
        steps.truncate(last.map_or(steps.len(), |last| last + 1));
        steps
    })
}

fn layers() -> impl Strategy<Value = ClassifyLayer> {
    (0..40_u64, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(bytes, look, reject, validate)| {
        let layer = ClassifyLayer::new().read_up_to(bytes, Duration::from_secs(1)).look_into_success(look).reject_empty(reject);
        if validate { layer.validate(|_, _| Err(Failure::new(FailureKind::Malformed))) } else { layer }
    })
}

proptest! {
    #[test]
    fn every_body_arrives_whole(
        steps in steps(),
        sized: bool,
        layer in layers(),
        status in select(vec![200_u16, 204, 302, 429, 500]),
        kind in select(vec!["application/json", "text/plain", "text/event-stream", "image/png"]),
    ) {
        let script = if sized { Script::new(steps.clone()).sized() } else { Script::new(steps.clone()) };
        let alive = script.alive();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = runtime.block_on(classify(&layer, response(status, &[("content-type", kind)], script)));
        let handle = StreamHandle::of(answer.extensions()).cloned();
        let mut seen = read_all(answer.into_body());
        // Beyond what the script yields there may be an error of ours at the end of a stream, and then the handle says which.
        if !steps.contains(&Step::Break) && let Some(error) = seen.error.take() {
            let told = handle.and_then(|handle| handle.outcome()).and_then(Outcome::into_failure);
            prop_assert_eq!(told.map(|failure| failure.kind), Some(error));
        }
        prop_assert_eq!(seen, Seen::of(&steps));
        prop_assert_eq!(alive(), 0);
    }

    #[test]
    fn a_drop_at_any_await_leaves_nothing(steps in steps(), status in select(vec![200_u16, 429]), kind in select(vec!["application/json", "text/event-stream"]), polls in 0..8_usize) {
        let script = Script::new(steps);
        let alive = script.alive();
        {
            let future = ClassifyLayer::new().layer(answering(response(status, &[("content-type", kind)], script))).oneshot(request());
            let mut future = pin!(future);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _entered = runtime.enter();
            for _ in 0..polls {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                if let Poll::Ready(answer) = future.as_mut().poll(&mut cx) {
                    prop_assert!(answer.is_ok());
                    break;
                }
            }
        }
        prop_assert_eq!(alive(), 0);
    }
}
