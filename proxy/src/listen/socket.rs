//! Options of client sockets.

use std::net::TcpListener;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes that the kernel takes for a client beyond what is on the way to it.
///
/// Without it the kernel keeps up to 4 MiB for each client that does not read (2.8 MB measured on loopback, 2026-11), and
/// tells only after a third of that whether the client reads at all: one at 20 KB/s looked dead for a minute.
const UNSENT_BYTES_MAX: u32 = 256 * 1024;
/// A client that is silent for so long is asked whether it is still there; matters to tunnels, which have no deadline.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Between two unanswered probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Unanswered probes that end a connection.
const PROBES_MAX: u32 = 4;

/// Sets what every connection accepted from `listener` inherits, so that it costs nothing per connection.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn prepare(listener: &TcpListener) -> std::io::Result<()> {
    let socket = SockRef::from(listener);
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_INTERVAL)
        .with_retries(PROBES_MAX);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// A stream over a socket that can be closed without a farewell.
pub(crate) trait Abort {
    /// Makes the coming close a reset: what the kernel still holds for the client is thrown away. Without it a client that
    /// was cut because it does not read goes on holding that memory.
    fn abort_on_close(&self);
}

impl Abort for TcpStream {
    fn abort_on_close(&self) {
        // Fails only on a socket that is closed already.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl<S: Abort> Abort for Box<TlsStream<S>> {
    fn abort_on_close(&self) {
        self.get_ref().0.abort_on_close();
    }
}
