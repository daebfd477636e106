//! Tells the supervisor what becomes of the process: systemd's notification protocol (sd_notify(3)), which others speak too.
//!
//! Without it systemd takes the end of the old process after an upgrade for the end of the service, and kills the new one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Something that a supervisor wants to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// The process that counts is another one from now on.
    MainPid(u32),
    /// It serves.
    Ready,
    /// It ends.
    Stopping,
}

impl State {
    fn message(self) -> String {
        match self {
            Self::MainPid(pid) => format!("MAINPID={pid}"),
            Self::Ready => "READY=1".to_owned(),
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

/// Sends it to the socket that the supervisor named; without one nothing happens.
pub(crate) fn tell(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    // A path, or a name in the abstract namespace behind an `@`.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    if let (Ok(address), Ok(sender)) = (address, UnixDatagram::unbound()) {
        // A supervisor that does not listen is none of our concern; one that is slow must not hold us.
        let _ = sender.set_nonblocking(true);
        let _ = sender.send_to_addr(state.message().as_bytes(), &address);
    }
}
