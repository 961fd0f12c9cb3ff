//! An address where nobody listens.

use std::{io, net::SocketAddr};

use http::Uri;
use tokio::net::TcpSocket;

use crate::{provider::MockProvider, reply::Reply};

/// An address on loopback that refuses every connection for as long as this value lives.
///
/// The port is bound but nobody listens on it, so no other process can take it and the refusal is certain.
/// [`listen`](Self::listen) makes a provider of it: one that was down and comes up.
#[derive(Debug)]
pub struct Refused {
    socket: TcpSocket,
    address: SocketAddr,
    uri: Uri,
}

impl Refused {
    /// Binds a port of the kernel's choice.
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be bound.
    pub fn bind() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, uri: base(address)? })
    }

    /// The base, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn uri(&self) -> Uri {
        self.uri.clone()
    }

    /// The base with `path` behind it; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Begins to listen: from now on a provider with this script answers at this address.
    ///
    /// # Errors
    ///
    /// If the port cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn listen(self, script: impl IntoIterator<Item = Reply>) -> io::Result<MockProvider> {
        MockProvider::listening(self.socket.listen(1024)?, script)
    }
}

pub(crate) fn base(address: SocketAddr) -> io::Result<Uri> {
    format!("http://{address}").parse().map_err(io::Error::other)
}
