//! Where the API listens: a loopback address or a Unix socket; another address only with TLS, or when that is asked for.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Api;
use super::dispatch::{Peer, router};

/// For the TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// For the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For requests under way when control ends.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAddress {
    /// An address.
    Tcp(SocketAddr),
    /// A socket file, for its owner only; one that is left from before is replaced.
    Unix(PathBuf),
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where.
    pub address: ApiAddress,
    /// Certificate chain and key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Listen on an address that is not loopback without TLS: something in front has it.
    pub plain: bool,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The listener.
pub struct ApiServer {
    socket: Socket,
    acceptor: Option<TlsAcceptor>,
    router: Router,
}

impl ApiServer {
    /// Listens; nothing is answered before [`ApiServer::run`].
    ///
    /// # Errors
    /// A sentence on what cannot be used.
    pub async fn bind(options: &ApiOptions, api: &Arc<Api>) -> Result<Self, String> {
        let acceptor = options
            .certificate
            .as_ref()
            .map(|(chain, key)| tls(chain, key))
            .transpose()?;
        let socket = match &options.address {
            ApiAddress::Tcp(address) => {
                if !address.ip().is_loopback() && acceptor.is_none() && !options.plain {
                    return Err(format!(
                        "the API on {address} would send tokens in clear: give it a certificate and key, or say that \
                         something in front of it has TLS"
                    ));
                }
                Socket::Tcp(
                    TcpListener::bind(address)
                        .await
                        .map_err(|error| format!("{address}: {error}"))?,
                )
            }
            ApiAddress::Unix(path) => {
                Socket::Unix(unix(path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        Ok(Self {
            socket,
            acceptor,
            router: router(api),
        })
    }

    /// Serves more beside the API, on other paths.
    #[must_use]
    pub fn beside(mut self, more: Router) -> Self {
        self.router = self.router.merge(more);
        self
    }

    /// The address that it listens on, when it is one.
    ///
    /// # Errors
    /// That of the system.
    pub fn address(&self) -> std::io::Result<Option<SocketAddr>> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(Some),
            Socket::Unix(_) => Ok(None),
        }
    }

    /// Serves until `ended` is true or its sender is gone; requests under way are answered first.
    pub async fn run(self, mut ended: watch::Receiver<bool>) {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
                return;
            };
            let told = ended.clone();
            tokio::select! {
                // An error means that nobody can end it any more.
                _ = ended.wait_for(|ended| *ended) => break,
                () = self.accept(permit, told) => {}
            }
        }
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = timeout(DRAIN_MAX, free.acquire_many(all)).await;
    }

    async fn accept(&self, permit: OwnedSemaphorePermit, ended: watch::Receiver<bool>) {
        match &self.socket {
            Socket::Tcp(listener) => match listener.accept().await {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    let peer = Peer(peer.ip().to_canonical().to_string().into());
                    let router = self.router.clone().layer(Extension(peer));
                    match self.acceptor.clone() {
                        None => drop(tokio::spawn(connection(stream, router, ended, permit))),
                        Some(acceptor) => drop(tokio::spawn(async move {
                            if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                                connection(stream, router, ended, permit).await;
                            }
                        })),
                    }
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Socket::Unix(listener) => match listener.accept().await {
                Ok((stream, _)) => {
                    let router = self.router.clone().layer(Extension(Peer("unix".into())));
                    tokio::spawn(connection(stream, router, ended, permit));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn connection<Io>(
    io: Io,
    router: Router,
    mut ended: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    // What a client does wrong ends its connection, and is of no interest.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => serving.as_mut().graceful_shutdown(),
    }
    let _ = timeout(DRAIN_MAX, serving).await;
}

fn unix(path: &Path) -> std::io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn tls(chain: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| told(chain, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(|error| told(chain, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
