//! A connection to an endpoint: Pingora's TCP connector, our own rustls configuration on top.
//!
//! Only the socket is Pingora's (`protocols::l4::ext`): its buffered stream copies every byte once more and reads the
//! clock twice per request, and its TLS connector builds a new client configuration on every connect when a pool has its own authorities (no
//! resumption), and switches verification off when the server name is empty (pingora-core 0.9.1,
//! protocols/l4/stream and connectors/tls/rustls). Ours is built once per pool and always verifies.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pingora_core::protocols::l4::ext;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::UpstreamFault;

/// A connection to an endpoint.
pub(crate) enum UpstreamStream {
    /// Cleartext.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl UpstreamStream {
    /// True when nothing can be read: neither bytes nor the end. Anything else on an idle connection makes it useless.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let mut read = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut read).is_pending()
    }
}

/// Connects to `address`, with TLS when there is a configuration for it.
///
/// # Errors
/// [`UpstreamFault::Connect`] and [`UpstreamFault::ConnectTimeout`].
pub(crate) async fn connect(
    address: SocketAddr,
    timeout: Duration,
    tls: Option<(&Arc<rustls::ClientConfig>, &str)>,
) -> Result<UpstreamStream, UpstreamFault> {
    let attempt = async {
        let plain = ext::connect(&address, None)
            .await
            .map_err(|_| UpstreamFault::Connect)?;
        // Fails only on a socket that is closed already.
        let _ = plain.set_nodelay(true);
        let Some((config, name)) = tls else {
            return Ok(UpstreamStream::Plain(plain));
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| UpstreamFault::Connect)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(config))
            .connect(name, plain)
            .await
            .map_err(|_| UpstreamFault::Connect)?;
        Ok(UpstreamStream::Tls(Box::new(stream)))
    };
    tokio::time::timeout(timeout, attempt)
        .await
        .unwrap_or(Err(UpstreamFault::ConnectTimeout))
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
