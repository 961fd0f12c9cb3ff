//! Reading requests off a connection.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest head that is read; a longer one is not a request.
const MAX_HEAD: usize = 256 * 1024;
const MAX_HEADERS: usize = 256;

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: BodyFraming,
    pub(crate) keep_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    Length(usize),
    Chunked,
}

/// What stood in the way of a whole head or body.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The peer left, or the connection failed.
    Gone,
    /// It is not an HTTP request.
    Malformed,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl Head {
    pub(crate) fn has_body(&self) -> bool {
        self.framing != BodyFraming::Length(0)
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }
}

/// Reads one head. `None` if the peer left between two requests.
pub(crate) async fn read_head<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> Result<Option<Head>, Broken> {
    loop {
        if let Some((head, length)) = parse_head(buffer)? {
            buffer.advance(length);
            return Ok(Some(head));
        }
        if buffer.len() > MAX_HEAD {
            return Err(Broken::Malformed);
        }
        if reader.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(Broken::Gone) };
        }
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<(Head, usize)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let Ok(status) = parsed.parse(buffer) else { return Err(Broken::Malformed) };
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    head(&parsed).map(|head| Some((head, length))).ok_or(Broken::Malformed)
}

fn head(parsed: &httparse::Request<'_, '_>) -> Option<Head> {
    let mut headers = HeaderMap::new();
    for line in parsed.headers.iter() {
        headers.append(line.name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(line.value).ok()?);
    }
    let says = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let framing = if says(header::TRANSFER_ENCODING, "chunked") {
        BodyFraming::Chunked
    } else {
        match headers.get(header::CONTENT_LENGTH) {
            Some(length) => BodyFraming::Length(length.to_str().ok()?.trim().parse().ok()?),
            None => BodyFraming::Length(0),
        }
    };
    let keep_alive = parsed.version? == 1 && !says(header::CONNECTION, "close");
    Some(Head { method: parsed.method?.parse().ok()?, uri: parsed.path?.parse().ok()?, framing, keep_alive, headers })
}

/// Reads one body into `body`, without its framing; what came before a failure is left there.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    framing: BodyFraming,
    body: &mut BytesMut,
) -> Result<(), Broken> {
    match framing {
        BodyFraming::Length(length) => take(reader, buffer, length, body).await,
        BodyFraming::Chunked => loop {
            let size = chunk_size(reader, buffer).await?;
            if size == 0 {
                // Trailers, thrown away, up to the empty line.
                while !line(reader, buffer).await?.is_empty() {}
                return Ok(());
            }
            take(reader, buffer, size, body).await?;
            if !line(reader, buffer).await?.is_empty() {
                return Err(Broken::Malformed);
            }
        },
    }
}

async fn chunk_size<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> Result<usize, Broken> {
    loop {
        match httparse::parse_chunk_size(buffer) {
            Ok(httparse::Status::Complete((used, size))) => {
                buffer.advance(used);
                return usize::try_from(size).map_err(|_| Broken::Malformed);
            }
            Ok(httparse::Status::Partial) => more(reader, buffer).await?,
            Err(_) => return Err(Broken::Malformed),
        }
    }
}

async fn take<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    length: usize,
    into: &mut BytesMut,
) -> Result<(), Broken> {
    let mut left = length;
    loop {
        let part = buffer.split_to(left.min(buffer.len()));
        left = left.saturating_sub(part.len());
        into.extend_from_slice(&part);
        if left == 0 {
            return Ok(());
        }
        more(reader, buffer).await?;
    }
}

async fn line<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> Result<Bytes, Broken> {
    loop {
        if let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let line = buffer.split_to(end).freeze();
            buffer.advance(2);
            return Ok(line);
        }
        if buffer.len() > MAX_HEAD {
            return Err(Broken::Malformed);
        }
        more(reader, buffer).await?;
    }
}

async fn more<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut) -> Result<(), Broken> {
    if reader.read_buf(buffer).await? == 0 { Err(Broken::Gone) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUESTS: &[&str] = &[
        "POST /a?b=c HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
        "POST /a?b=c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nx-sum: 1\r\n\r\n",
    ];

    async fn read(request: &str, cuts: &[prop::sample::Index]) -> Result<(Head, Bytes, BytesMut), Broken> {
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(request.len())).chain([0, request.len()]).collect();
        places.sort_unstable();
        places.dedup();
        let mut script = tokio_test::io::Builder::new();
        for pair in places.windows(2) {
            script.read(&request.as_bytes()[pair[0]..pair[1]]);
        }
        let (mut reader, mut buffer, mut body) = (script.build(), BytesMut::new(), BytesMut::new());
        let head = read_head(&mut reader, &mut buffer).await?.ok_or(Broken::Gone)?;
        read_body(&mut reader, &mut buffer, head.framing, &mut body).await?;
        Ok((head, body.freeze(), buffer))
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_request_is_the_same(which in 0..REQUESTS.len(), cuts: Vec<prop::sample::Index>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (head, body, rest) = runtime.block_on(read(REQUESTS[which], &cuts)).unwrap();
            prop_assert_eq!(head.method, Method::POST);
            prop_assert_eq!(head.uri, "/a?b=c");
            prop_assert_eq!(body, "hello");
            prop_assert!(rest.is_empty() && head.keep_alive);
        }
    }

    #[tokio::test]
    async fn what_ends_too_soon_is_gone_and_what_is_wrong_is_malformed() {
        for request in [
            "GET / HTT",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhell",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nh",
        ] {
            assert!(matches!(read(request, &[]).await, Err(Broken::Gone)), "{request}");
        }
        for request in [
            "nonsense\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        ] {
            assert!(matches!(read(request, &[]).await, Err(Broken::Malformed)), "{request}");
        }
    }

    #[tokio::test]
    async fn the_connection_is_kept_unless_the_version_or_a_header_says_otherwise() {
        for (request, kept) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nconnection: keep-alive, Close\r\n\r\n", false),
        ] {
            assert_eq!(read(request, &[]).await.unwrap().0.keep_alive, kept, "{request}");
        }
    }
}
