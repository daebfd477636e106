//! An HTTP/2 client for tests, blocking, over TLS by ALPN or in clear by prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::tls;
use crate::wait::PATIENCE;

/// Largest piece of a body in one DATA frame call.
const PIECE_BYTES: usize = 64 * 1024;

/// One connection.
pub struct H2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: HeaderMap,
}

impl Response {
    /// A field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl H2 {
    /// Connects in clear, speaking HTTP/2 from the first byte.
    pub fn prior_knowledge(address: SocketAddr) -> Result<Self, h2::Error> {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let socket = TcpStream::connect(address).await.expect("connect");
            socket.set_nodelay(true).expect("TCP_NODELAY");
            start(socket).await
        })?;
        Ok(Self { runtime, sender })
    }

    /// Connects over TLS with `host` as SNI; the client must offer `h2` and the server must choose it.
    pub fn over_tls(address: SocketAddr, client: &tls::Client, host: &str) -> Result<Self, h2::Error> {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let socket = TcpStream::connect(address).await.expect("connect");
            let connector = tokio_rustls::TlsConnector::from(client.config());
            let name = ServerName::try_from(host.to_owned()).expect("a host name");
            let stream = connector.connect(name, socket).await.expect("TLS handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            start(stream).await
        })?;
        Ok(Self { runtime, sender })
    }

    /// GET of a URL (scheme and authority included).
    pub fn get(&mut self, url: &str) -> Result<Response, h2::Error> {
        let request = Request::get(url).body(()).expect("a valid request");
        self.request(request, &[], None)
    }

    /// Sends a request with a body and perhaps trailers, and reads the whole response.
    pub fn request(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Response, h2::Error> {
        let sender = self.sender.clone();
        let body = Bytes::copy_from_slice(body);
        self.runtime.block_on(async {
            let exchange = exchange(sender, request, body, trailers);
            tokio::time::timeout(PATIENCE * 6, exchange)
                .await
                .expect("an HTTP/2 response in time")
        })
    }
}

fn runtime() -> Runtime {
    // One background thread keeps the connection alive between calls (PING, SETTINGS, WINDOW_UPDATE).
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn start<S>(stream: S) -> Result<SendRequest<Bytes>, h2::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await?;
    // Its error comes out of the requests as well.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<Response, h2::Error> {
    let mut sender = sender.ready().await?;
    let ends = body.is_empty() && trailers.is_none();
    let (response, mut stream) = sender.send_request(request, ends)?;
    let upload = async {
        // A server may answer and reset before the end of the body; then the response is what counts.
        if !ends {
            drop(upload(&mut stream, body, trailers).await);
        }
    };
    let download = async {
        let (head, mut data) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = data.data().await {
            let piece = piece?;
            data.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        let trailers = data.trailers().await?.unwrap_or_default();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers,
        })
    };
    tokio::join!(upload, download).1
}

async fn upload(
    stream: &mut h2::SendStream<Bytes>,
    mut body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len().min(PIECE_BYTES));
        let Some(granted) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
            return Ok(());
        };
        let piece = body.split_to(granted?.min(body.len()));
        stream.send_data(piece, body.is_empty() && trailers.is_none())?;
    }
    trailers.map_or(Ok(()), |trailers| stream.send_trailers(trailers))
}
