//! What the provider received.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tokio::time::Instant;

/// One request as it came over the wire.
///
/// `Debug` shows method, path and sizes only, so that a failed assertion does not print a prompt or a key.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    /// The request's method.
    pub method: Method,
    /// The target as it was sent: usually a path with its query.
    pub uri: Uri,
    /// The headers, in the order of arrival for each name.
    pub headers: HeaderMap,
    /// The body without its framing; what there was of it if the request is not complete.
    pub body: Bytes,
    /// Which connection it came over: 1 is the first that the provider accepted.
    pub connection: u64,
    /// Whether the whole request came. It did not if the peer left half-way, or if the reply was
    /// [early](crate::Reply::early).
    pub complete: bool,
    /// When it was complete (or given up), by tokio's clock.
    pub at: Instant,
}

impl Received {
    /// The value of a header, if there is one and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether it asks for a stream, as any dialect says it: `"stream": true` in its body, or a path that ends with
    /// `:streamGenerateContent` (Gemini) or `-stream` (Bedrock).
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        let path = self.uri.path();
        path.ends_with(":streamGenerateContent") || path.ends_with("-stream") || self.json()["stream"] == true
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("headers", &self.headers.len())
            .field("body", &self.body.len())
            .field("connection", &self.connection)
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}
