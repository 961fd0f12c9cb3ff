//! A request kept so that it can be sent again.

use std::fmt;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::{Call, Target, body::TryClone};

/// A copy of a request, to make further attempts from.
///
/// Whoever sends a request gives away its head, so a copy must be made before anybody knows whether it will be needed. The
/// head is therefore kept as flat bytes, one allocation however many headers there are, and only made into a head again
/// when there is a further attempt. The body is kept by [`TryClone`], for `Bytes` a reference count. All extensions are cloned; where there are none
/// but a [`Call`] and a [`Target`], that is two reference counts.
pub struct KeptRequest<B> {
    method: Method,
    version: Version,
    uri: Uri,
    /// How long each header's name and value is, whether the value is sensitive, and then both.
    text: Box<[u8]>,
    extensions: Kept,
    body: B,
}

/// Extensions, of which a map of boxes is only made again when it is needed.
enum Kept {
    Known(Option<Call>, Option<Target>),
    All(Extensions),
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
            extensions: Kept::of(request.extensions()),
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
        self.extensions.put_into(request.extensions_mut());
        Some(request)
    }
}

impl<B> KeptRequest<B> {
    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        let mut rest = Bytes::copy_from_slice(&self.text);
        while let Some((name, value)) = next_header(&mut rest) {
            map.append(name, value);
        }
        map
    }
}

impl Kept {
    fn of(extensions: &Extensions) -> Self {
        let (call, target) = (Call::of(extensions), Target::of(extensions));
        if extensions.len() == usize::from(call.is_some()) + usize::from(target.is_some()) {
            Self::Known(call.cloned(), target.cloned())
        } else {
            Self::All(extensions.clone())
        }
    }

    fn put_into(&self, extensions: &mut Extensions) {
        match self {
            Self::Known(call, target) => {
                call.iter().for_each(|call| drop(extensions.insert(call.clone())));
                target.iter().for_each(|target| drop(extensions.insert(target.clone())));
            }
            Self::All(all) => *extensions = all.clone(),
        }
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
        f.debug_struct("KeptRequest").field("method", &self.method).field("path", &self.uri.path()).finish_non_exhaustive()
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
    fn the_call_and_the_target_are_kept_beside_others_and_alone() {
        let call = Call::new(crate::Facts::default(), tokio::time::Instant::now(), None);
        let target = Target::new("t", "http://host").unwrap();
        for others in [false, true] {
            let mut request = Request::new(Full::<Bytes>::default());
            request.extensions_mut().insert(call.clone());
            request.extensions_mut().insert(target.clone());
            if others {
                request.extensions_mut().insert("other");
            }
            let again = KeptRequest::keep(&request).unwrap().request().unwrap();
            assert_eq!(again.extensions().len(), request.extensions().len());
            assert_eq!((Target::of(again.extensions()), again.extensions().get()), (Some(&target), others.then_some(&"other")));
            Call::of(again.extensions()).unwrap().set_alternative(others);
            assert_eq!(call.has_alternative(), others, "it is the same call");
        }
    }

    #[test]
    fn a_request_without_headers_is_kept_too() {
        let kept = KeptRequest::keep(&Request::new(Full::<Bytes>::default())).unwrap();
        assert!(kept.request().unwrap().headers().is_empty());
    }
}
