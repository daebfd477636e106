//! Listening sockets: made here, inherited from a process that hands over (or from systemd), or handed on.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use command_fds::{CommandFdExt, FdMapping};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// First descriptor of systemd's socket activation protocol.
const FIRST_FD: i32 = 3;

/// Sockets that came with the process, by the address they listen on.
#[derive(Default)]
pub(crate) struct Inherited(HashMap<SocketAddr, TcpListener>);

impl Inherited {
    /// Takes over what `LISTEN_FDS` announces.
    pub(crate) fn take() -> Self {
        let mut sockets = listenfd::ListenFd::from_env();
        let mut found = HashMap::new();
        for index in 0..sockets.len() {
            if let Ok(Some(listener)) = sockets.take_tcp_listener(index)
                && let Ok(address) = listener.local_addr()
            {
                found.insert(address, listener);
            }
        }
        Self(found)
    }

    /// The inherited socket for an address, or a new one.
    ///
    /// # Errors
    /// Those of bind and listen.
    pub(crate) fn listen(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        if let Some(listener) = self.0.remove(&address) {
            return Ok(listener);
        }
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

/// Starts this program again with the same arguments and hands it `listeners`.
///
/// # Errors
/// When the program cannot be started; nothing has changed then.
pub(crate) fn hand_over(listeners: Vec<TcpListener>) -> io::Result<Child> {
    let program = std::env::current_exe()?;
    // A binary that was replaced on disk shows up with this suffix; the new one has the plain path.
    let program = program
        .to_string_lossy()
        .trim_end_matches(" (deleted)")
        .to_owned();
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    command
        .env("LISTEN_FDS", listeners.len().to_string())
        .env_remove("LISTEN_PID")
        .env("WEIR_HANDED_OVER", "1");
    let mappings = listeners
        .into_iter()
        .enumerate()
        .map(|(index, listener)| FdMapping {
            parent_fd: OwnedFd::from(listener),
            child_fd: FIRST_FD + i32::try_from(index).unwrap_or(i32::MAX - FIRST_FD),
        })
        .collect();
    command
        .fd_mappings(mappings)
        .map_err(|error| io::Error::other(error.to_string()))?;
    command.spawn()
}
