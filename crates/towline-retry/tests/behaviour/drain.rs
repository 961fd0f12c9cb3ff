use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};
use towline_retry::RetryLayer;

use crate::support::{Log, request};

/// Gives its frames, then ends or falls silent; counts how many of its kind are alive.
struct Counted {
    frames: VecDeque<Bytes>,
    silent: bool,
    alive: Arc<AtomicU32>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.silent => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Polls a call whose first answer is a 503 with such a body, and tells how many bodies live `ms` after it and when the
/// second attempt came.
async fn alive_after(ms: u64, frames: usize, silent: bool) -> (u32, Duration) {
    let (alive, log) = (Arc::new(AtomicU32::new(0)), Log::default());
    let (bodies, requests) = (Arc::clone(&alive), log.clone());
    let provider = service_fn(move |request: Request<Full<Bytes>>| {
        let again = requests.note(request) > 1;
        bodies.fetch_add(1, Ordering::Relaxed);
        let frames = if again { 0 } else { frames };
        let body = Counted {
            frames: vec![Bytes::from_static(&[0; 1024]); frames].into(),
            silent: silent && !again,
            alive: Arc::clone(&bodies),
        };
        let status = if again { 200 } else { 503 };
        std::future::ready(Response::builder().status(status).header("retry-after", "1").body(body))
    });
    let mut call = tokio_test::task::spawn(RetryLayer::new().seed(1).layer(provider).oneshot(request()));
    assert!(call.poll().is_pending());
    advance(Duration::from_millis(ms)).await;
    assert!(call.poll().is_pending());
    let held = alive.load(Ordering::Relaxed);
    let response = call.await.unwrap();
    assert_eq!(response.status(), 200);
    (held, log.waits()[0])
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_is_read_to_its_end_and_nothing_of_it_is_held_while_waiting() {
    assert_eq!(alive_after(0, 64, false).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_that_does_not_end_is_given_up_after_its_limits() {
    assert_eq!(alive_after(0, 65, false).await.0, 0, "longer than 64 KiB");
    assert_eq!(alive_after(40, 1, true).await.0, 1);
    assert_eq!(alive_after(51, 1, true).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn draining_is_part_of_the_wait() {
    let waits = [alive_after(0, 1, false).await.1, alive_after(0, 1, true).await.1];
    assert_eq!(waits[0], waits[1]);
    assert!(waits[0] >= Duration::from_secs(1));
}
