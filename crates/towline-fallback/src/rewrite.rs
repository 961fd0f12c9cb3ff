//! Making a request anew for a target, with nothing in it that is not that target's.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::PathAndQuery};
use http_body::Body;
use towline_core::{Credential, Dialect, Error, Failure, FailureKind, Target, body::TryClone};
use towline_wire::{
    facts,
    patch::{self, Patch},
};

/// The names under which credentials may stand: those that everybody knows, and those that the targets use.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    headers: HeaderMap<()>,
    params: Vec<Box<str>>,
}

/// Headers that are somebody's key, account or session.
const SECRET_HEADERS: [&str; 19] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-goog-user-project",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-date",
    "ocp-apim-subscription-key",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "helicone-auth",
    "x-portkey-api-key",
    "cf-aig-authorization",
    "cookie",
];

/// Headers that speak of the connection that the caller's request came over, and `host`, which the client sets.
const CONNECTION_HEADERS: [&str; 9] =
    ["host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"];

const SECRET_PARAMS: [&str; 10] =
    ["key", "api_key", "api-key", "apikey", "access_token", "token", "auth_token", "signature", "sig", "x-amz-signature"];

impl Secrets {
    pub(crate) fn of(targets: &[Target]) -> Self {
        let used = || targets.iter().flat_map(|target| target.keys().iter().chain(target.credential()));
        let own_headers = used().filter_map(Credential::as_header).map(|(name, _)| name.clone());
        let own_params = used().filter_map(Credential::as_query).map(|(name, _)| name.to_ascii_lowercase().into());
        let known = SECRET_HEADERS.into_iter().chain(CONNECTION_HEADERS);
        Self {
            headers: known.map(HeaderName::from_static).chain(own_headers).map(|name| (name, ())).collect(),
            params: SECRET_PARAMS.iter().map(|name| (*name).into()).chain(own_params).collect(),
        }
    }

    fn strip(&self, headers: &mut HeaderMap) {
        let stays = |(name, value): &(&HeaderName, &HeaderValue)| !value.is_sensitive() && !self.headers.contains_key(*name);
        let gone: Vec<_> = headers.iter().filter(|header| !stays(header)).map(|(name, _)| name.clone()).collect();
        for name in named_by_connection(headers).iter().chain(&gone) {
            headers.remove(name);
        }
    }

    fn is_secret(&self, param: &str) -> bool {
        let name = decoded_name(param);
        self.params.iter().any(|secret| **secret == *name)
    }
}

/// Turns `request`, which is the caller's, into one for `target`.
///
/// # Errors
///
/// `Untranslatable` if no valid URI can be made of the base and the path.
pub(crate) fn rewrite<B>(mut request: Request<B>, target: &Target, patch: &Patch, secrets: &Secrets) -> Result<Request<B>, Error>
where
    B: Body + TryClone + From<Bytes>,
{
    let uri = uri_for(request.uri(), target, secrets).ok_or_else(|| Error::new(Failure::new(FailureKind::Untranslatable)))?;
    *request.uri_mut() = uri;
    secrets.strip(request.headers_mut());
    if let Some(body) = patched(&request, target, patch) {
        *request.body_mut() = body;
        request.headers_mut().remove(header::CONTENT_LENGTH);
    }
    for (name, value) in target.headers() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    if let Some((name, value)) = target.credential().and_then(Credential::as_header) {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    request.extensions_mut().insert(target.clone());
    Ok(request)
}

/// The headers that `Connection` declares to be of this connection only.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

fn uri_for(original: &Uri, target: &Target, secrets: &Secrets) -> Option<Uri> {
    let path = join(target.base().path(), original.path());
    // Most often exactly what is needed, which then need not be moved to become a URI's.
    let query = original.query().map_or(0, |query| query.len() + 1);
    let mut whole = String::with_capacity(path.iter().map(|part| part.len()).sum::<usize>() + query);
    whole.extend(path);
    let model = target.model().and_then(|model| Some((model, dialect_of(&whole, target)?)));
    let kept = original.query().unwrap_or_default().split('&').filter(|param| !param.is_empty() && !secrets.is_secret(param));
    let mut mark = "?";
    for param in kept {
        whole.extend([mark, param]);
        mark = "&";
    }
    if let Some((name, value)) = target.credential().and_then(Credential::as_query) {
        whole.extend([mark, name, "=", value]);
    }
    if let Some((model, dialect)) = model {
        whole = patch::model_in_path(&whole, dialect, model).unwrap_or(whole);
    }
    let mut parts = target.base().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(whole)).ok()?);
    Uri::from_parts(parts).ok()
}

/// `base` and then `path`; segments with which the one ends and the other begins stand there once.
fn join<'a>(base: &'a str, path: &'a str) -> [&'a str; 3] {
    let base = base.trim_end_matches('/');
    let path = path.trim_start_matches('/');
    let starts = base.match_indices('/').map(|(at, _)| at);
    // The longest overlap comes first, since the indices ascend.
    for tail in starts.filter_map(|at| base.get(at + 1..)) {
        match path.strip_prefix(tail) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => return [base, "", rest],
            _ => {}
        }
    }
    [base, "/", path]
}

/// A query parameter's name as a server would read it: percent-decoded, in lower case.
fn decoded_name(param: &str) -> String {
    let name = param.split('=').next().unwrap_or_default();
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let digits = |rest: &mut std::str::Bytes<'_>| {
            let mut ahead = rest.clone();
            let pair = [ahead.next()?, ahead.next()?];
            let value = u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?;
            *rest = ahead;
            Some(value)
        };
        match byte {
            b'%' => out.push(digits(&mut bytes).unwrap_or(byte)),
            b'+' => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).to_ascii_lowercase()
}

/// The body as the target wants it; `None` where it stays as it is: not JSON, not in memory, or right already.
fn patched<B>(request: &Request<B>, target: &Target, patch: &Patch) -> Option<B>
where
    B: Body + TryClone + From<Bytes>,
{
    if patch.is_empty() {
        return None;
    }
    let old = in_memory(request.body().try_clone()?)?;
    let new = patch.apply(&old, dialect_of(request.uri().path(), target)).ok()?;
    (new != old).then(|| new.into())
}

/// What a path says is said of this very request; the target's word is for paths that say nothing.
fn dialect_of(path: &str, target: &Target) -> Option<Dialect> {
    facts::dialect(path).or(target.dialect())
}

/// All bytes of a body that has them at hand; `None` of one that would have to be waited for.
pub(crate) fn in_memory<B: Body>(body: B) -> Option<Bytes> {
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    let mut parts: Vec<Bytes> = Vec::new();
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let mut data = frame.into_data().ok()?;
                parts.push(data.copy_to_bytes(data.remaining()));
            }
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(_))) | Poll::Pending => return None,
        }
    }
    match parts.len() {
        0 => Some(Bytes::new()),
        1 => parts.pop(),
        _ => Some(parts.concat().into()),
    }
}

#[cfg(test)]
mod tests;
