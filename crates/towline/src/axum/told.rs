//! From what the stack answers to what the caller is sent.

use ::axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use towline_core::{BoxError, Call, Dialect, Error, Failure, FailureKind, Outcome, Scope};

use super::{error::error_response, stream::EventBody};

/// What a provider says of its own connection, or of its own address. None of that is true of ours.
const NOT_OURS: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
];

/// An answer of the stack as the caller gets it.
pub(super) fn told<R>(mut response: Response<R>, dialect: Option<Dialect>, retell: bool) -> Response<Body>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    if retell && let Some(failure) = affair_of_the_provider(&response) {
        return retold(&response, failure, dialect);
    }
    let headers = response.headers_mut();
    // Most answers have none of them.
    if headers.keys().any(|name| NOT_OURS.contains(name)) {
        for name in NOT_OURS {
            headers.remove(name);
        }
    }
    if !is(headers.get(header::CONTENT_TYPE), b"text/event-stream") {
        return response.map(Body::new);
    }
    // One event more may come than the provider has announced.
    headers.remove(header::CONTENT_LENGTH);
    response.map(|body| Body::new(EventBody::new(body, dialect)))
}

/// The failure of an answer that tells the caller nothing about its own request, or not in a way that it can read.
fn affair_of_the_provider<R>(response: &Response<R>) -> Option<Failure> {
    let failure = Outcome::of_response(response).into_failure()?;
    let readable = is(response.headers().get(header::CONTENT_TYPE), b"application/json");
    (!readable || !is_the_requests(&failure)).then_some(failure)
}

fn is_the_requests(failure: &Failure) -> bool {
    use FailureKind as K;
    let kinds = [K::InvalidRequest, K::ContextLength, K::ContentPolicy, K::PayloadTooLarge, K::Conflict];
    failure.scope == Scope::Request || kinds.contains(&failure.kind)
}

fn is(content_type: Option<&HeaderValue>, wanted: &[u8]) -> bool {
    content_type.and_then(|value| value.as_bytes().get(..wanted.len())).is_some_and(|begin| begin.eq_ignore_ascii_case(wanted))
}

/// The failure in our own words, with the trail; what we said of it in headers stays.
fn retold<R>(response: &Response<R>, failure: Failure, dialect: Option<Dialect>) -> Response<Body> {
    let error = Error::new(failure);
    let error = match Call::of(response.extensions()) {
        Some(call) => error.with_call(call.clone()),
        None => error,
    };
    let mut told = error_response(&error, dialect);
    let ours = response.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-towline-"));
    told.headers_mut().extend(ours.map(|(name, value)| (name.clone(), value.clone())));
    told
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::{BodyExt, Full};
    use tokio::time::Instant;
    use towline_core::{Attempt, Facts, FailureKind, Scope};

    use super::*;

    fn answer(status: u16, content_type: &'static str, failure: Option<Failure>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from("the provider's words"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(failure) = failure {
            response.extensions_mut().insert(Outcome::Failure(failure));
        }
        response
    }

    /// The status and the body that the caller gets.
    async fn gets(answer: Response<Full<Bytes>>) -> (u16, String) {
        let told = told(answer, Some(Dialect::OpenAiChat), true);
        let status = told.status().as_u16();
        (status, String::from_utf8(told.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_outage_is_told_anew_with_the_trail_and_with_what_we_said_of_it() {
        let now = Instant::now();
        let call = Call::new(Facts::default(), now, None);
        let mut attempt = Attempt::new(now, now);
        attempt.target = Some("first/strong".into());
        (attempt.failure, attempt.status) = (Some(FailureKind::Overloaded), Some(StatusCode::from_u16(529).unwrap()));
        call.record(attempt);
        let mut answer = answer(529, "application/json", Some(Failure::new(FailureKind::Overloaded)));
        answer.extensions_mut().insert(call);
        for name in ["x-towline-target", "x-ratelimit-limit"] {
            answer.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        let told = told(answer, Some(Dialect::OpenAiChat), true);
        let headers: Vec<_> = told.headers().keys().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(headers, ["content-type", "x-towline-target"]);
        assert!(Call::of(told.extensions()).is_some(), "for whoever stands above");
        assert_eq!(told.status(), 503);
        let body = told.into_body().collect().await.unwrap().to_bytes();
        let message = "the provider is overloaded (tried first/strong: overloaded 529 after 0ms)";
        assert!(String::from_utf8_lossy(&body).contains(message), "{body:?}");
    }

    #[tokio::test]
    async fn what_speaks_of_the_request_passes_where_it_can_be_read() {
        let words = (400, "the provider's words".to_owned());
        for failure in [FailureKind::InvalidRequest, FailureKind::ContextLength, FailureKind::ContentPolicy] {
            assert_eq!(gets(answer(400, "application/json", Some(Failure::new(failure)))).await, words, "{failure}");
        }
        let own = Failure::new(FailureKind::NotFound).scope(Scope::Request);
        assert_eq!(gets(answer(400, "application/json; charset=utf-8", Some(own))).await, words);
        let page = gets(answer(400, "text/html", Some(Failure::new(FailureKind::InvalidRequest)))).await;
        assert!(page.0 == 502 && !page.1.contains("words"), "{page:?}");
        assert_eq!(gets(answer(200, "application/json", None)).await, (200, words.1));
    }

    #[tokio::test]
    async fn a_key_that_is_not_accepted_and_a_failure_that_says_200_are_told_as_what_they_are() {
        let (status, body) = gets(answer(401, "application/json", Some(Failure::new(FailureKind::Auth)))).await;
        assert!(status == 502 && body.contains("the credential was not accepted"), "it is not the caller's: {body}");
        let (status, body) = gets(answer(200, "text/event-stream", Some(Failure::new(FailureKind::RateLimited)))).await;
        assert!(status == 429 && body.contains("the provider limits the rate"), "{body}");
    }

    #[test]
    fn what_is_true_of_the_providers_connection_only_is_not_handed_on() {
        let mut answer = answer(200, "text/event-stream; charset=utf-8", None);
        for name in NOT_OURS.into_iter().chain([header::CONTENT_LENGTH, HeaderName::from_static("request-id")]) {
            answer.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        let told = told(answer, None, false);
        let left: Vec<_> = told.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-type", "request-id"]);
    }
}
