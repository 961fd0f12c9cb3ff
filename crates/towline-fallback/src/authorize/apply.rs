//! Putting a credential into a request.

use bytes::Bytes;
use http::{Request, Uri, uri::PathAndQuery};
use towline_core::{Credential, Target};

/// Takes all credentials of `target` out of the request. Its headers and its URI may name them; nothing else can.
pub(crate) fn strip<B>(request: &mut Request<B>, target: &Target) {
    for credential in target.keys().iter().chain(target.credential()) {
        if let Some((name, _)) = credential.as_header() {
            request.headers_mut().remove(name);
        }
        if let Some((name, _)) = credential.as_query() {
            set_query(request.uri_mut(), name, None);
        }
    }
}

/// Puts `credential` in, in the place of one of the same name. A header's value is marked sensitive already.
pub(crate) fn put<B>(request: &mut Request<B>, credential: &Credential) {
    if let Some((name, value)) = credential.as_header() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    if let Some((name, value)) = credential.as_query() {
        set_query(request.uri_mut(), name, Some(value));
    }
}

/// A URI that cannot be made stays as it is: without its credential it will be refused, and nothing is given away.
fn set_query(uri: &mut Uri, name: &str, value: Option<&str>) {
    let is_it = |param: &&str| param.split('=').next() == Some(name);
    let before = uri.query().unwrap_or_default();
    if value.is_none() && !before.split('&').any(|param| is_it(&param)) {
        return;
    }
    let kept = before.split('&').filter(|param| !param.is_empty() && !is_it(param)).map(str::to_owned);
    let query = kept.chain(value.map(|value| format!("{name}={value}"))).collect::<Vec<_>>().join("&");
    let whole = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::from_maybe_shared(Bytes::from(whole)).ok();
    if let Ok(made) = Uri::from_parts(parts) {
        *uri = made;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_takes_the_place_of_the_last_one() {
        let key = |value: &str| Credential::query("key", value).unwrap();
        let keys = [key("one"), key("two"), Credential::header("x-api-key", "three").unwrap()];
        let target = Target::new("t", "http://host").unwrap().with_keys(keys.clone());
        let mut request = Request::get("http://host/p?alt=sse&key=one").header("x-api-key", "three").body(()).unwrap();
        strip(&mut request, &target);
        assert_eq!((request.uri().to_string().as_str(), request.headers().len()), ("http://host/p?alt=sse", 0));
        put(&mut request, &keys[1]);
        put(&mut request, &keys[2]);
        assert_eq!(request.uri(), "http://host/p?alt=sse&key=two");
        assert!(request.headers()["x-api-key"].is_sensitive());
    }
}
