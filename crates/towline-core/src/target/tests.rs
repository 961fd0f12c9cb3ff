use http::{HeaderName, HeaderValue};

use super::*;

#[test]
fn a_base_that_is_no_absolute_http_uri_is_refused_by_name() {
    for base in ["", "/v1", "api.openai.com", "ftp://host", "http://user:pw@host", "http://host/?key=1", "http://ho st"] {
        assert_eq!(Target::new("t", base).unwrap_err().field(), "base", "{base:?}");
    }
    assert_eq!(Target::new("", "http://host").unwrap_err().field(), "name");
}

#[test]
fn no_debug_shows_a_secret() {
    let target = Target::new("t", "http://host")
        .unwrap()
        .with_header(HeaderName::from_static("x-extra"), HeaderValue::from_static("s3cret"))
        .with_parameters(r#"{"user":"s3cret"}"#)
        .with_system_prompt("s3cret");
    for credential in
        [Credential::bearer("s3cret"), Credential::header("x-api-key", "s3cret"), Credential::query("key", "s3cret")]
    {
        let shown =
            format!("{:?} {:?}", credential.as_ref().unwrap(), target.clone().with_credential(credential.clone().unwrap()));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_header_credential_is_marked_sensitive() {
    let credential = Credential::bearer("k").unwrap();
    let (name, value) = credential.as_header().unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap(), value.is_sensitive()), ("authorization", "Bearer k", true));
}

#[test]
fn a_key_stands_where_those_look_for_it_who_speak_its_dialect() {
    for (dialect, header, value) in [
        (Dialect::Anthropic, "x-api-key", "k"),
        (Dialect::Gemini, "x-goog-api-key", "k"),
        (Dialect::OpenAiResponses, "authorization", "Bearer k"),
    ] {
        let credential = Credential::of(dialect, "k").unwrap();
        let (name, told) = credential.as_header().unwrap();
        assert_eq!((name.as_str(), told.to_str().unwrap(), told.is_sensitive()), (header, value, true));
    }
}

#[test]
fn a_credential_that_cannot_be_sent_is_refused() {
    assert!(Credential::bearer("").is_err());
    assert!(Credential::bearer("a\nb").is_err());
    assert!(Credential::header("not a name", "k").is_err());
    assert_eq!(Credential::query("key", "a&b=c").unwrap().as_query(), Some(("key", "a%26b%3Dc")));
}
