//! Dials control, again and again, and runs a session on each connection.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use weir_schema::push::ObjectHash;

use super::{Control, ControlOptions, session, tls};
use crate::process::Process;
use crate::random;

/// For the connection and its handshakes.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// For an answer's head.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The first wait is between nothing and this; each failure doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A session this long was a good one: the next wait is short again.
const GOOD_SESSION: Duration = Duration::from_secs(5);
/// Without a sign of the other side.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Messages to control that wait to be sent.
const UP_QUEUE: usize = 64;

/// The service that speaks with control, on a thread of its own.
pub(crate) struct ControlService {
    process: Arc<Process>,
    control: Arc<Control>,
}

impl ControlService {
    pub(crate) const fn new(process: Arc<Process>, control: Arc<Control>) -> Self {
        Self { process, control }
    }
}

#[async_trait]
impl Service for ControlService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _per_fd: usize) {
        let mut ready = self.process.ready.subscribe();
        if ready.wait_for(|ready| *ready).await.is_err() {
            return;
        }
        let mut handed_over = self.process.handed_over.subscribe();
        tokio::select! {
            () = dial(&self.process, &self.control) => {}
            _ = handed_over.wait_for(|over| *over) => {}
            _ = shutdown.changed() => {}
        }
    }

    fn name(&self) -> &str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn dial(process: &Arc<Process>, control: &Arc<Control>) {
    let mut bound = BACKOFF_MIN;
    loop {
        let since = Instant::now();
        let ended = match Link::open(&control.options).await {
            Ok(link) => session::run(process, control, link).await,
            Err(reason) => reason,
        };
        control.status.ended(ended);
        process.shared.metrics.control_connected.set(0);
        if since.elapsed() >= GOOD_SESSION {
            bound = BACKOFF_MIN;
        }
        sleep(jittered(bound)).await;
        bound = (bound * 2).min(BACKOFF_MAX);
    }
}

/// Full jitter: between nothing and the bound, so that proxies that lost control together do not come back together.
fn jittered(bound: Duration) -> Duration {
    let share = (random::next() >> 11) as f64 / (1_u64 << 53) as f64;
    bound.mul_f64(share)
}

/// An HTTP/2 connection to control.
pub(super) struct Link {
    requests: http2::SendRequest<Up>,
    connection: JoinHandle<()>,
    base: String,
    authorization: String,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A request's body.
pub(super) enum Up {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it is made.
    Messages(mpsc::Receiver<Vec<u8>>),
}

impl Body for Up {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Messages(messages) => {
                let next = messages.poll_recv(cx);
                next.map(|next| next.map(|message| Ok(Frame::data(Bytes::from(message)))))
            }
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// A sentence on why not.
    async fn open(options: &ControlOptions) -> Result<Self, String> {
        let uri: Uri = options
            .url
            .parse()
            .map_err(|error| format!("{}: {error}", options.url))?;
        let told = |reason: String| format!("{}: {reason}", options.url);
        let host = uri
            .host()
            .ok_or_else(|| told("there is no host in it".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let encrypted = uri.scheme_str() != Some("http");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let connect = async {
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            if !encrypted {
                let peer = stream.peer_addr().map_err(|error| error.to_string())?;
                return plain(stream, peer);
            }
            let certificate = options.client_certificate.as_ref();
            let certificate = certificate.map(|(chain, key)| (chain.as_path(), key.as_path()));
            let config =
                tls::client_config(options.ca_file.as_deref(), options.token.authority, certificate)?;
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| error.to_string())?;
            Ok(Box::new(stream) as Box<dyn Io>)
        };
        let stream = timeout(CONNECT_MAX, connect)
            .await
            .map_err(|_| told(format!("no connection within {} s", CONNECT_MAX.as_secs())))?
            .map_err(told)?;
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| told(error.to_string()))?;
        let connection = tokio::spawn(async move {
            // How it ended is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self {
            requests,
            connection,
            base: options.url.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", options.token.secret),
        })
    }

    async fn ask(&mut self, path: &str, body: Up) -> Result<Incoming, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .body(body)
            .map_err(|error| error.to_string())?;
        let answer = timeout(ANSWER_MAX, self.requests.send_request(request))
            .await
            .map_err(|_| format!("{path}: no answer within {} s", ANSWER_MAX.as_secs()))?;
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let text = timeout(
            ANSWER_MAX,
            http_body_util::Limited::new(answer.into_body(), 4096).collect(),
        )
        .await;
        let text = text
            .ok()
            .and_then(Result::ok)
            .map(http_body_util::Collected::to_bytes);
        let text = text
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default();
        Err(format!("{path}: {status} {text}"))
    }

    /// Opens the session: what is sent is heard by control, and what it says comes as the body.
    ///
    /// # Errors
    /// Why control does not want it.
    pub(super) async fn session(&mut self) -> Result<(mpsc::Sender<Vec<u8>>, Incoming), String> {
        let (sender, messages) = mpsc::channel(UP_QUEUE);
        let said = self.ask("/push/v1/session", Up::Messages(messages)).await?;
        Ok((sender, said))
    }

    /// Fetches objects; gives them in the order asked for.
    ///
    /// # Errors
    /// When control lacks one, or the connection fails.
    pub(super) async fn objects(&mut self, hashes: &[ObjectHash]) -> Result<Incoming, String> {
        let body = serde_json::to_vec(hashes).map_err(|error| error.to_string())?;
        self.ask("/push/v1/objects", Up::Whole(Full::new(Bytes::from(body))))
            .await
    }
}

/// Secrets travel without encryption only inside this machine.
fn plain(stream: TcpStream, peer: SocketAddr) -> Result<Box<dyn Io>, String> {
    if peer.ip().is_loopback() {
        return Ok(Box::new(stream));
    }
    Err(format!(
        "{peer} is not this machine: use https://, configurations hold private keys"
    ))
}
