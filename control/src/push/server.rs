//! The listener that proxies dial: HTTP/2 over TLS, or in clear on loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_schema::push::ObjectHash;

use super::hub::Hub;
use super::join::{self, Joined};
use super::session::{DOWN_QUEUE, Said, Session};
use super::tls;
use crate::clock;
use crate::store::StoreError;

/// For the TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Connections at once.
const CONNECTIONS_MAX: usize = 20_000;
/// Bytes of a list of hashes.
const HASHES_BYTES_MAX: usize = 1 << 20;
/// Between signs of the other side.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where proxies dial.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Address to listen on.
    pub address: SocketAddr,
    /// Certificate and key, PEM; without them control makes its own.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Authorities of the proxies' certificates, PEM; without it tokens only.
    pub client_ca: Option<PathBuf>,
    /// No TLS: only on a loopback address.
    pub plain: bool,
}

/// The listener.
pub struct PushServer {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    pinned: Option<ObjectHash>,
    hub: Arc<Hub>,
}

impl PushServer {
    /// Listens.
    ///
    /// # Errors
    /// A sentence on what cannot be used.
    pub async fn bind(options: &PushOptions, data_dir: &Path, hub: Arc<Hub>) -> Result<Self, String> {
        if options.plain && !options.address.ip().is_loopback() {
            return Err(format!(
                "{} is not a loopback address: configurations hold private keys and do not travel without TLS",
                options.address
            ));
        }
        let listener = TcpListener::bind(options.address)
            .await
            .map_err(|error| format!("{}: {error}", options.address))?;
        let names = ["localhost".to_owned(), options.address.ip().to_string()];
        let made = (!options.plain)
            .then(|| {
                tls::server_config(
                    data_dir,
                    options.certificate.as_ref(),
                    options.client_ca.as_deref(),
                    &names,
                )
            })
            .transpose()?;
        Ok(Self {
            listener,
            pinned: made.as_ref().and_then(|made| made.pinned),
            acceptor: made.map(|made| TlsAcceptor::from(made.config)),
            hub,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// That of the system.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hash of control's own certificate, for join tokens.
    #[must_use]
    pub const fn pinned(&self) -> Option<ObjectHash> {
        self.pinned
    }

    /// Serves for ever.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let Ok((stream, peer)) = self.listener.accept().await else {
                // Out of descriptors, most likely: others end soon.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (hub, acceptor) = (Arc::clone(&self.hub), self.acceptor.clone());
            tokio::spawn(async move {
                connection(stream, peer, acceptor, hub).await;
                drop(place);
            });
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, acceptor: Option<TlsAcceptor>, hub: Arc<Hub>) {
    // Without it a message waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return serve(stream, peer, Vec::new(), hub).await;
    };
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(tls::names_of).unwrap_or_default();
        serve(stream, peer, names, hub).await;
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, names: Vec<String>, hub: Arc<Hub>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let names: Arc<[String]> = names.into();
    let service = service_fn(move |request| {
        let (hub, names) = (Arc::clone(&hub), Arc::clone(&names));
        async move { Ok::<_, Infallible>(answer(request, peer, &names, hub).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(8)
        .max_header_list_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    // How it ended is seen by the session.
    let _ = served.await;
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{text}\n"))).boxed());
    *answer.status_mut() = status;
    answer
}

fn failed(error: &StoreError) -> Answer {
    plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    names: &Arc<[String]>,
    hub: Arc<Hub>,
) -> Answer {
    let who = match joined(&request, names, &hub).await {
        Ok(Some(who)) => who,
        Ok(None) => {
            return plain(
                StatusCode::UNAUTHORIZED,
                "not a proxy of this control: make one with `weir proxies create`, and join with its token",
            );
        }
        Err(error) => return failed(&error),
    };
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/push/v1/session") => session(request, peer, who, hub),
        (&Method::POST, "/push/v1/objects") => objects(request, hub).await,
        _ => plain(StatusCode::NOT_FOUND, "no such path"),
    }
}

async fn joined(
    request: &Request<Incoming>,
    names: &Arc<[String]>,
    hub: &Arc<Hub>,
) -> Result<Option<Joined>, StoreError> {
    let secret = request.headers().get(header::AUTHORIZATION);
    let secret = secret.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(secret) = secret
        && let Some(who) = join::by_secret(&hub.store, secret)?
    {
        return Ok(Some(who));
    }
    join::by_names(&hub.store, names)
}

fn session(request: Request<Incoming>, peer: SocketAddr, who: Joined, hub: Arc<Hub>) -> Answer {
    let now_ms = clock::unix_ms();
    let Some(number) = hub
        .fleet
        .connected(&who.node, &who.region, peer.to_string(), now_ms)
    else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many proxies");
    };
    let (down, said) = mpsc::channel(DOWN_QUEUE);
    let session = Session {
        hub,
        who,
        number,
        down,
    };
    tokio::spawn(session.run(request.into_body()));
    Response::new(Said(said).boxed())
}

/// Objects, each behind its length in eight bytes, in the order asked for.
async fn objects(request: Request<Incoming>, hub: Arc<Hub>) -> Answer {
    let body = Limited::new(request.into_body(), HASHES_BYTES_MAX)
        .collect()
        .await;
    let hashes: Option<Vec<ObjectHash>> = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let Some(hashes) = hashes else {
        return plain(StatusCode::BAD_REQUEST, "send a JSON list of hashes");
    };
    let (sender, said) = mpsc::channel(4);
    let first = match object(&hub, hashes.first()).await {
        Ok(first) => first,
        Err(answer) => return *answer,
    };
    tokio::spawn(async move {
        let mut next = first;
        let mut rest = hashes.iter().skip(1);
        while let Some(bytes) = next {
            let head = Bytes::copy_from_slice(&(bytes.len() as u64).to_be_bytes());
            if sender.send(head).await.is_err() || (!bytes.is_empty() && sender.send(bytes).await.is_err()) {
                return;
            }
            // The body ends early when one fails, and the proxy sees that some lack.
            let Ok(more) = object(&hub, rest.next()).await else {
                return;
            };
            next = more;
        }
    });
    Response::new(Said(said).boxed())
}

async fn object(hub: &Arc<Hub>, hash: Option<&ObjectHash>) -> Result<Option<Bytes>, Box<Answer>> {
    let Some(hash) = hash.copied() else {
        return Ok(None);
    };
    let hub = Arc::clone(hub);
    let read = tokio::task::spawn_blocking(move || hub.versions.objects().get(&hash)).await;
    match read {
        Ok(Ok(Some(bytes))) => Ok(Some(bytes)),
        Ok(Ok(None)) => Err(Box::new(plain(
            StatusCode::NOT_FOUND,
            &format!("no object {hash}"),
        ))),
        Ok(Err(error)) => Err(Box::new(failed(&error))),
        Err(_) => Err(Box::new(plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "reading failed inside",
        ))),
    }
}
