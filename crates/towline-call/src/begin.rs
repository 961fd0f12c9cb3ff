//! A request that is there as a whole becomes a call.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING},
};
use http_body_util::Full;
use tokio::time::Instant;
use towline_core::Call;
use towline_wire::facts;

use crate::CallLayer;

/// When a call that began at `began` ends by our own limit; never, if that is beyond what a clock can tell.
pub(crate) fn ends(began: Instant, limit: Option<Duration>) -> Option<Instant> {
    began.checked_add(limit?)
}

/// Puts `body` and the call into the request and mends its headers.
pub(crate) fn begin(request: &mut Request<Full<Bytes>>, body: Bytes, config: &CallLayer, began: Instant) -> Call {
    mend(request.headers_mut(), body.len());
    let call = match Call::of(request.extensions()).cloned() {
        // Part of a call whose facts were read further out.
        Some(call) => match ends(began, config.deadline_of(call.facts().stream)) {
            Some(deadline) => call.until(deadline),
            None => call,
        },
        None => {
            let facts = facts::read_with(request.uri(), &body, config.count_tokens);
            let deadline = ends(began, config.deadline_of(facts.stream));
            Call::new(facts, began, deadline)
        }
    };
    request.extensions_mut().insert(call.clone());
    *request.body_mut() = Full::new(body);
    call
}

/// Leaves no header that contradicts a body of `length` bytes in one piece, and asks for an answer that can be read.
fn mend(headers: &mut HeaderMap, length: usize) {
    // An insertion makes room first, also where it only replaces.
    if !headers.get_all(ACCEPT_ENCODING).iter().eq(["identity"]) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let says = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
    let contradicts = |(name, value): (&HeaderName, &HeaderValue)| {
        *name == TRANSFER_ENCODING || *name == TRAILER || (*name == CONTENT_LENGTH && says(value) != Some(length))
    };
    // Most requests have none of them.
    while let Some(name) = headers.iter().find(|header| contradicts(*header)).map(|(name, _)| name.clone()) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_contradicts_the_body() {
        let mended = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            pairs.iter().for_each(|(name, value)| {
                headers.append(*name, HeaderValue::from_static(value));
            });
            mend(&mut headers, 7);
            assert_eq!(headers.remove(ACCEPT_ENCODING).unwrap(), "identity");
            headers
        };
        assert_eq!(mended(&[("content-length", "7"), ("accept-encoding", "gzip"), ("accept-encoding", "br")]).len(), 1);
        for wrong in ["8", "", "+-7", "7, 7", "99999999999999999999999"] {
            assert!(
                mended(&[("content-length", wrong), ("transfer-encoding", "chunked"), ("trailer", "x")]).is_empty(),
                "{wrong}"
            );
        }
        assert!(mended(&[("content-length", "7"), ("content-length", "8")]).is_empty());
    }
}
