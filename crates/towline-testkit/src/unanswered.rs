//! An address where nobody picks up.

use std::{io, net::SocketAddr};

use socket2::{Domain, SockAddr, Socket, Type};

/// An address on loopback that takes no connection and refuses none, for as long as this value lives: its backlog is full, so whoever connects waits
/// until they give up.
#[derive(Debug)]
pub struct Unanswered {
    address: SocketAddr,
    /// The listener, and those that fill its backlog.
    _held: Vec<Socket>,
}

impl Unanswered {
    /// Listens at a port of the kernel's choice, and fills the backlog.
    ///
    /// # Errors
    ///
    /// If no port on 127.0.0.1 can be listened on.
    pub fn bind() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        listener.listen(0)?;
        let bound = listener.local_addr()?;
        let address = bound.as_socket().ok_or_else(|| io::Error::other("an address of another kind than was bound"))?;
        let mut held = vec![listener];
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            // In progress or done: either way it takes a place.
            let _ = socket.connect(&bound);
            held.push(socket);
        }
        Ok(Self { address, _held: held })
    }

    /// The base with `path` behind it; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
