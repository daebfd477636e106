//! Sockets that the standard library does not make.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, listen, socket};

use crate::wait::PATIENCE;

/// A connection from this address of our own, with a port of the kernel's choice.
pub fn connect_from(from: std::net::IpAddr, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddr::new(from, 0)).expect("an address of this machine");
    connect(&socket, &to).unwrap_or_else(|error| panic!("connect to {to}: {error}"));
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    stream
}

/// An address that neither accepts nor refuses: its queue is full. It lasts as long as this value.
pub struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    /// Fills the queue of a listener that nobody accepts from.
    pub fn start() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of the kernel's choice");
        listen(&socket, 1).expect("listen");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("bound");
        let queue: Vec<TcpStream> = (0..16)
            .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
            .collect();
        assert!(queue.len() < 16, "the queue never fills");
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An address that refuses: bound, so that nobody else gets the port, but not listening. It lasts as long as this value.
pub struct Dead {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl Dead {
    /// Takes a port of the kernel's choice.
    pub fn start() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of the kernel's choice");
        let address = rustix::net::getsockname(&socket).expect("bound");
        Self {
            address: SocketAddr::try_from(address).expect("an IP address"),
            _socket: socket,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
