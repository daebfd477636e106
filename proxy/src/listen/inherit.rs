//! Listening sockets: made here, or inherited from a process that hands over or from systemd.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Sockets that came with the process.
#[derive(Default)]
pub(crate) struct Inherited {
    /// From a process that hands over: by the listener's id, `None` for the admin endpoint.
    named: HashMap<Option<String>, TcpListener>,
    /// From systemd: by the address.
    unnamed: HashMap<SocketAddr, TcpListener>,
}

impl Inherited {
    /// Takes over what `LISTEN_FDS` announces; `names` are those of the sockets, in order, where they are known.
    pub(crate) fn take(names: &[Option<String>]) -> Self {
        let mut sockets = listenfd::ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..sockets.len() {
            // A copy is closed on exec; what came here without that must not reach the next process unasked.
            if let Ok(Some(came)) = sockets.take_tcp_listener(index)
                && let Ok(listener) = came.try_clone()
                && let Ok(address) = listener.local_addr()
            {
                match names.get(index) {
                    Some(name) => inherited.named.insert(name.clone(), listener),
                    None => inherited.unnamed.insert(address, listener),
                };
            }
        }
        inherited
    }

    /// The inherited socket of a listener (`None`: of the admin endpoint), or a new one.
    ///
    /// # Errors
    /// Those of bind and listen.
    pub(crate) fn listen(&mut self, name: Option<&str>, address: SocketAddr) -> io::Result<TcpListener> {
        let name = name.map(str::to_owned);
        let fits = |socket: &TcpListener| socket.local_addr().is_ok_and(|has| serves(has, address));
        if self.named.get(&name).is_some_and(fits)
            && let Some(socket) = self.named.remove(&name)
        {
            return Ok(socket);
        }
        match self.unnamed.remove(&address) {
            Some(socket) => Ok(socket),
            None => bind(address),
        }
    }

    /// Closes what no listener asked for: nobody would ever accept from it.
    pub(crate) fn close_rest(&mut self) {
        *self = Self::default();
    }
}

/// Whether a socket on `has` is what a document means by `wanted`, whose port 0 is any port.
pub(crate) fn serves(has: SocketAddr, wanted: SocketAddr) -> bool {
    has.ip() == wanted.ip() && (wanted.port() == 0 || has.port() == wanted.port())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
