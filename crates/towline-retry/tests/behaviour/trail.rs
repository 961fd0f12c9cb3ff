use std::time::Duration;

use tower::{Layer, ServiceExt};
use towline_core::{FailureKind, Target};
use towline_retry::RetryLayer;

use crate::support::{provider, request_with, status, with_headers};

#[tokio::test(start_paused = true)]
async fn the_trail_tells_each_attempt_with_its_target_its_reason_and_its_wait() {
    let (log, provider) = provider(|nth| match nth {
        1 => with_headers(429, &[("retry-after", "2")]),
        2 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
        _ => status(200),
    });
    let (call, mut request) = request_with(Some(Duration::from_secs(60)));
    request.extensions_mut().insert(Target::new("primary", "http://host").unwrap());
    RetryLayer::new().layer(provider).oneshot(request).await.unwrap();

    let trail = call.trail();
    let told: Vec<_> = trail.iter().map(|attempt| (attempt.failure, attempt.status.map(|status| status.as_u16()))).collect();
    assert_eq!(told, [(Some(FailureKind::RateLimited), Some(429)), (Some(FailureKind::Transport), None), (None, Some(200))]);
    assert!(trail.iter().all(|attempt| attempt.target.as_deref() == Some("primary")));
    assert_eq!(trail.iter().map(|attempt| attempt.began).collect::<Vec<_>>(), log.times());
    assert_eq!(trail[0].waited, Duration::ZERO);
    assert!(trail[1].waited >= Duration::from_secs(2) && trail[1].waited <= Duration::from_millis(2450));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_once_leaves_a_trail_too() {
    let (_, provider) = provider(|_| status(503));
    let (call, request) = request_with(None);
    let _ = RetryLayer::new().attempts(1).unwrap().layer(provider).oneshot(request).await;
    assert_eq!(call.trail().len(), 1);
}
