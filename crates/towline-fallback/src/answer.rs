//! What the answer to a call says beside what the target said.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use towline_core::{Error, FailureKind, Outcome, Target};

pub(crate) type Answer<R> = Result<Response<R>, Error>;

pub(crate) fn answered_by<R>(response: &mut Response<R>, target: Target) {
    response.extensions_mut().insert(target);
}

/// Who answered, after how many attempts that left us, and what had failed at the first target, in headers.
pub(crate) fn say_in_headers<R>(response: &mut Response<R>, attempts: usize, moved: Option<FailureKind>) {
    // A name that cannot stand in a header is left out.
    let target = Target::of(response.extensions()).and_then(|target| HeaderValue::from_str(target.name()).ok());
    let moved = moved.map(|kind| HeaderValue::from_static(kind.name()));
    let headers = response.headers_mut();
    let attempts = if attempts == 1 { HeaderValue::from_static("1") } else { attempts.into() };
    for (name, value) in [(TARGET, target), (ATTEMPTS, Some(attempts)), (FALLBACK, moved)] {
        value.map(|value| headers.insert(name, value));
    }
}

/// The answer of one target, where another recovers earlier than this one says, if it says anything: `wait` from now.
pub(crate) fn recovers_in<R>(answer: Answer<R>, wait: Duration) -> Answer<R> {
    let mut response = match answer {
        Ok(response) if speaks_of_time(response.status()) => response,
        Err(error) => {
            let hint = error.failure().hint.with_retry_after(Some(wait));
            return Err(error.with_hint(hint));
        }
        other => return other,
    };
    if let Some(Outcome::Failure(failure)) = response.extensions_mut().get_mut() {
        failure.hint.retry_after = Some(wait);
    }
    // Whole seconds, and never too early.
    let secs = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    response.headers_mut().remove(RETRY_AFTER_MS);
    response.headers_mut().insert(RETRY_AFTER, secs.into());
    Ok(response)
}

/// The statuses with which a `Retry-After` speaks of this very request.
fn speaks_of_time(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 429 | 500..)
}

const TARGET: HeaderName = HeaderName::from_static("x-towline-target");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-towline-attempts");
const FALLBACK: HeaderName = HeaderName::from_static("x-towline-fallback");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
