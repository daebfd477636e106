//! TLS clients that trust one authority and offer what a test says.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::ServerName;

use crate::pki::{Authority, Identity};
use crate::wait::PATIENCE;

/// What a client offers; keep one to resume sessions.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

/// An encrypted connection after its handshake.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    /// TLS 1.3 and 1.2 with these ALPN protocols, trusting `authority`.
    pub fn trusting(authority: &Authority, alpn: &[&str]) -> Self {
        Self::new(authority, alpn, rustls::ALL_VERSIONS, None)
    }

    /// As [`Self::trusting`], with its versions and a client certificate.
    pub fn new(
        authority: &Authority,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.cert()).expect("an authority's certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions that the provider has")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(id) => builder
                .with_client_auth_cert(vec![id.cert.clone()], id.key.clone_key())
                .expect("a key that fits its certificate"),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Connects to `address` with `host` as SNI and completes the handshake; the error is the server's refusal.
    pub fn connect(&self, address: SocketAddr, host: &str) -> std::io::Result<Stream> {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).expect("a host name");
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(std::io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(session, socket))
    }

    /// The configuration, for an async client.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}
