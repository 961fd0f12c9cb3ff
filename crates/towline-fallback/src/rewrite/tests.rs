use http::HeaderValue;
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use towline_core::{Dialect, body::ReplayBody};

use super::*;
use crate::targets::{Role, Targets};

fn target(base: &str) -> Target {
    Target::new("t", base).unwrap()
}

fn uri(base: &str, original: &str) -> String {
    uri_for(&original.parse().unwrap(), &target(base), &Secrets::of(&[])).unwrap().to_string()
}

fn anew(request: Request<Full<Bytes>>, targets: &[Target]) -> Request<Full<Bytes>> {
    let mut known = Targets::default();
    known.add(Role::Ordinary, "targets", targets.iter().cloned()).unwrap();
    rewrite(request, &targets[0], known.patch(0).unwrap(), &Secrets::of(targets)).unwrap()
}

#[test]
fn a_path_is_joined_to_the_base_with_what_both_have_once() {
    for (base, path, joined) in [
        ("https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://api.openai.com/v1", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.groq.com/openai/v1", "/v1/chat/completions", "https://api.groq.com/openai/v1/chat/completions"),
        ("https://api.groq.com/openai/v1", "/openai/v1/models", "https://api.groq.com/openai/v1/models"),
        ("https://host/api", "/v1/messages", "https://host/api/v1/messages"),
        ("https://host/v1", "/v10/messages", "https://host/v1/v10/messages"),
        ("https://host/v1", "/v1", "https://host/v1"),
        ("https://host/a/b/a", "/a/b/a/b", "https://host/a/b/a/b"),
        ("http://host:8080", "http://other:1/v1/x", "http://host:8080/v1/x"),
    ] {
        assert_eq!(uri(base, path), joined, "{base} and {path}");
    }
}

#[test]
fn the_query_stays_without_its_credentials() {
    let base = "https://host";
    assert_eq!(uri(base, "/p?alt=sse&key=s3cret&api-version=2"), "https://host/p?alt=sse&api-version=2");
    assert_eq!(uri(base, "/p?key=s3cret"), "https://host/p");
    assert_eq!(uri(base, "/p?KEY=s3cret&%6bey=s3cret&k%65y=s3cret&monkey=1"), "https://host/p?monkey=1");
}

#[test]
fn a_query_credential_is_put_in_and_that_of_a_sibling_is_stripped() {
    let first = target("https://one").with_credential(Credential::query("code", "mine").unwrap());
    let second = Target::new("two", "https://two").unwrap().with_credential(Credential::query("pass", "yours").unwrap());
    let request = Request::get("/p?code=caller&pass=caller&x=1").body(Full::default()).unwrap();
    assert_eq!(anew(request, &[first, second]).uri(), "https://one/p?x=1&code=mine");
}

#[test]
fn no_credential_of_the_caller_or_of_a_sibling_is_carried_along() {
    let mine = target("https://one").with_credential(Credential::header("x-api-key", "mine").unwrap());
    let sibling = Target::new("two", "https://two").unwrap().with_credential(Credential::header("x-very-own", "yours").unwrap());
    let mut request =
        Request::post("/v1/messages").header("anthropic-version", "2023-06-01").header("connection", "x-hop, close");
    for name in SECRET_HEADERS.iter().chain(&CONNECTION_HEADERS).chain(&["x-very-own", "x-hop"]) {
        request = request.header(*name, "s3cret");
    }
    let mut marked = HeaderValue::from_static("s3cret");
    marked.set_sensitive(true);
    let request = request.header("x-unheard-of", marked).body(Full::default()).unwrap();
    let request = anew(request, &[mine, sibling]);
    let left: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(left, [("anthropic-version", "2023-06-01"), ("x-api-key", "mine")]);
    assert!(request.headers()["x-api-key"].is_sensitive());
}

#[tokio::test]
async fn the_model_is_replaced_and_nothing_else() {
    let body = r#"{ "messages":[{"content":"model"}], "model":"a", "seed":1.0 }"#;
    let request = Request::post("/v1/messages").header("content-length", body.len()).body(Full::from(body)).unwrap();
    let request = anew(request, &[target("https://host").with_model("claude")]);
    assert!(!request.headers().contains_key("content-length"), "the client counts anew");
    let sent = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(sent, r#"{ "messages":[{"content":"model"}], "model":"claude", "seed":1.0 }"#);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_left_as_it_is() {
    let request = Request::post("/v1/audio").header("content-length", 5).body(Full::from("audio")).unwrap();
    let request = anew(request, &[target("https://host").with_model("whisper")]);
    assert_eq!(request.headers()["content-length"], "5");
    assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "audio");
}

#[test]
fn a_model_that_stands_in_the_path_is_replaced_there() {
    let gemini = target("https://host").with_model("gemini-3").with_dialect(Dialect::Gemini);
    let request = Request::post("/v1beta/models/gemini-2:generateContent").body(Full::from("{}")).unwrap();
    assert_eq!(anew(request, &[gemini]).uri(), "https://host/v1beta/models/gemini-3:generateContent");
    let unsaid = target("https://host").with_model("gemini-3");
    let request = Request::post("/v1beta/models/gemini-2:generateContent").body(Full::from("{}")).unwrap();
    let request = anew(request, &[unsaid]);
    assert_eq!(request.uri(), "https://host/v1beta/models/gemini-3:generateContent", "the path itself tells the dialect");
    assert_eq!(in_memory(request.into_body()).unwrap(), "{}");
}

#[test]
fn the_target_travels_with_its_request() {
    let request = anew(Request::new(Full::default()), &[target("https://host")]);
    assert_eq!(Target::of(request.extensions()).map(Target::name), Some("t"));
}

#[test]
fn only_what_lies_in_memory_is_read() {
    assert_eq!(in_memory(Full::<Bytes>::from("ab")).unwrap(), "ab");
    assert_eq!(in_memory(http_body_util::Empty::<Bytes>::new()).unwrap(), "");
    assert!(in_memory(ReplayBody::once(Never)).is_none());
}

/// A body that never yields.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = towline_core::BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

proptest! {
    #[test]
    fn whatever_the_query_no_secret_comes_through(params in proptest::collection::vec(("[a-z%_+-]{0,8}", any::<bool>()), 0..8)) {
        let query: Vec<_> = params.iter().map(|(name, secret)| if *secret { "key=s3cret".to_owned() } else { format!("{name}=v") }).collect();
        let Ok(original) = format!("/p?{}", query.join("&")).parse::<Uri>() else { return Ok(()) };
        let uri = uri_for(&original, &target("https://host"), &Secrets::of(&[])).unwrap();
        prop_assert!(!uri.to_string().contains("s3cret"), "{}", uri);
    }
}
