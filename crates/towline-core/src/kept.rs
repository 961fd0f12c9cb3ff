//! A request kept so that it can be sent again.

use std::fmt;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::body::TryClone;

/// A copy of a request, to make further attempts from.
///
/// Whoever sends a request gives away its head, so a copy must be made before anybody knows whether it will be needed. The
/// head is therefore kept as flat bytes, one allocation however many headers there are, and only made into a head again
/// when there is a further attempt. The body is kept by [`TryClone`], for `Bytes` a reference count. All extensions are cloned.
pub struct KeptRequest<B> {
    method: Method,
    version: Version,
    uri: Uri,
    /// Names and values, one after the other.
    text: Bytes,
    /// How long each name and value is, and whether the value is sensitive; kept in `text` too, behind the words.
    headers: usize,
    extensions: Extensions,
    body: B,
}

/// The flat form of one header's lengths: name (2 bytes), value (4 bytes), sensitive (1 byte).
const LENGTHS: usize = 7;

impl<B: TryClone> KeptRequest<B> {
    /// Keeps a copy, or `None` where the body can be sent only once, or a header is beyond all measure (a name of 64 KiB or
    /// a value of 4 GiB, which no server takes).
    #[must_use]
    pub fn keep(request: &Request<B>) -> Option<Self> {
        let body = request.body().try_clone()?;
        let map = request.headers();
        let size: usize = map.iter().map(|(name, value)| name.as_str().len() + value.len() + LENGTHS).sum();
        let mut text = Vec::with_capacity(size);
        for (name, value) in map {
            let name = name.as_str();
            let [n0, n1] = u16::try_from(name.len()).ok()?.to_be_bytes();
            let [v0, v1, v2, v3] = u32::try_from(value.len()).ok()?.to_be_bytes();
            text.extend_from_slice(&[n0, n1, v0, v1, v2, v3, value.is_sensitive().into()]);
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value.as_bytes());
        }
        Some(Self {
            method: request.method().clone(),
            version: request.version(),
            uri: request.uri().clone(),
            text: text.into(),
            headers: map.len(),
            extensions: request.extensions().clone(),
            body,
        })
    }

    /// The request again; `None` if the body turns out not to be replayable any more.
    #[must_use]
    pub fn request(&self) -> Option<Request<B>> {
        let mut request = Request::new(self.body.try_clone()?);
        *request.method_mut() = self.method.clone();
        *request.version_mut() = self.version;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers();
        *request.extensions_mut() = self.extensions.clone();
        Some(request)
    }
}

impl<B> KeptRequest<B> {
    /// The extensions, `Call` and `Target` among them.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.headers);
        let mut rest = self.text.clone();
        while let Some((name, value)) = next_header(&mut rest) {
            map.append(name, value);
        }
        map
    }
}

/// Cuts the next header off. What was taken from a head is valid in a head, so `None` means the end.
fn next_header(rest: &mut Bytes) -> Option<(HeaderName, HeaderValue)> {
    let lengths = cut(rest, LENGTHS)?;
    let (name, value) = (lengths.get(..2)?.try_into().ok()?, lengths.get(2..6)?.try_into().ok()?);
    let name = HeaderName::from_bytes(&cut(rest, usize::from(u16::from_be_bytes(name)))?).ok()?;
    let mut value = HeaderValue::from_maybe_shared(cut(rest, usize::try_from(u32::from_be_bytes(value)).ok()?)?).ok()?;
    value.set_sensitive(lengths.last() == Some(&1));
    Some((name, value))
}

fn cut(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

impl<B> fmt::Debug for KeptRequest<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No query and no header values: either may hold a key.
        f.debug_struct("KeptRequest")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn what_was_kept_is_what_was_given() {
        let mut request = Request::builder()
            .method("POST")
            .uri("http://host/v1/messages?beta=true")
            .version(Version::HTTP_2)
            .header("x-api-key", "k")
            .header("x-many", "one")
            .header("x-many", "two")
            .header("x-empty", "")
            .header("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .extension(7_u8)
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        request.headers_mut().get_mut("x-api-key").unwrap().set_sensitive(true);
        let kept = KeptRequest::keep(&request).unwrap();
        for _ in 0..2 {
            let again = kept.request().unwrap();
            assert_eq!(again.method(), request.method());
            assert_eq!(again.uri(), request.uri());
            assert_eq!(again.version(), request.version());
            assert_eq!(again.headers(), request.headers());
            assert!(again.headers()["x-api-key"].is_sensitive() && !again.headers()["x-many"].is_sensitive());
            assert_eq!(again.extensions().get::<u8>(), Some(&7));
        }
        assert!(!format!("{kept:?}").contains("beta"));
    }

    #[test]
    fn a_request_without_headers_is_kept_too() {
        let kept = KeptRequest::keep(&Request::new(Full::<Bytes>::default())).unwrap();
        assert!(kept.request().unwrap().headers().is_empty());
    }
}
