//! Accept loops: one task per listener, started and stopped as the configuration says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use weir_decide::guard::GuardRefusal;
use weir_schema::config::checked::{Listener, ListenerTls};
use weir_schema::ids::{ListenerId, TenantId};

use super::inherit::{self, Inherited};
use super::leave::Leave;
use super::socket::{self, Abort};
use super::{proxy_protocol, serve_h1, serve_h2};
use crate::downstream::buffer;
use crate::engine::request::ConnectionInfo;
use crate::live::Shared;
use crate::meter::{self, Metered};

/// What every HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// TLS alert: fatal, unrecognized_name (RFC 6066 section 3).
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

struct Running {
    listener: Listener,
    address: SocketAddr,
    socket: std::net::TcpListener,
    task: JoinHandle<()>,
}

/// Listeners of a version that is about to be served: those that do not run yet, with their sockets.
pub(crate) struct Prepared {
    wanted: Vec<Listener>,
    fresh: Vec<Fresh>,
}

struct Fresh {
    listener: Listener,
    address: SocketAddr,
    socket: std::net::TcpListener,
    accepting: TcpListener,
}

/// All listeners of the process.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    leave: Leave,
    running: HashMap<ListenerId, Running>,
    inherited: Inherited,
    runtime: tokio::runtime::Handle,
}

impl Listeners {
    /// No listener yet; accept loops and connections become tasks of the runtime that this is called in.
    pub(crate) fn new(shared: Arc<Shared>, leave: Leave, inherited: Inherited) -> Self {
        Self {
            shared,
            leave,
            running: HashMap::new(),
            inherited,
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Opens the sockets of a version's listeners. A listener that changes on its address keeps its socket, so that nobody
    /// who connects meanwhile is refused.
    ///
    /// # Errors
    /// A sentence per listener that cannot be opened; nothing has changed then.
    pub(crate) fn prepare(&mut self, wanted: &[Listener]) -> Result<Prepared, Vec<String>> {
        let mut fresh = Vec::new();
        let mut errors = Vec::new();
        for listener in wanted {
            let running = self.running.get(&listener.id);
            if running.is_some_and(|running| running.listener == *listener) {
                continue;
            }
            match self.open(listener) {
                Ok(opened) => fresh.push(opened),
                Err(error) => errors.push(format!("listener {}: {}: {error}", listener.id, listener.address)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Prepared {
            wanted: wanted.to_vec(),
            fresh,
        })
    }

    fn open(&mut self, listener: &Listener) -> std::io::Result<Fresh> {
        let same_id = self.running.get(&listener.id);
        let taken = same_id
            .into_iter()
            .chain(self.running.values())
            .find(|running| inherit::serves(running.address, listener.address));
        let socket = match taken {
            Some(running) if listener.address.port() != 0 || running.listener.id == listener.id => {
                running.socket.try_clone()?
            }
            _ => self
                .inherited
                .listen(Some(listener.id.as_str()), listener.address)?,
        };
        socket.set_nonblocking(true)?;
        socket::prepare(&socket)?;
        let _runtime = self.runtime.enter();
        Ok(Fresh {
            listener: listener.clone(),
            address: socket.local_addr()?,
            accepting: TcpListener::from_std(socket.try_clone()?)?,
            socket,
        })
    }

    /// Starts and stops listeners so that they are those of the version that is served. Connections of a listener that is
    /// stopped live on.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        self.running.retain(|_, running| {
            let keep = prepared.wanted.contains(&running.listener);
            if !keep {
                running.task.abort();
            }
            keep
        });
        for fresh in prepared.fresh {
            let front = Arc::new(Front {
                shared: Arc::clone(&self.shared),
                listener: fresh.listener.clone(),
            });
            let task = accept(fresh.accepting, front, self.leave.clone());
            let running = Running {
                address: fresh.address,
                socket: fresh.socket,
                task: self.runtime.spawn(task),
                listener: fresh.listener,
            };
            self.running.insert(running.listener.id.clone(), running);
        }
        self.inherited.close_rest();
    }

    /// Addresses in use.
    pub(crate) fn addresses(&self) -> Vec<(ListenerId, SocketAddr)> {
        let mut list: Vec<_> = self
            .running
            .iter()
            .map(|(id, running)| (id.clone(), running.address))
            .collect();
        list.sort();
        list
    }

    /// Copies of all listening sockets, to hand over.
    pub(crate) fn sockets(&self) -> std::io::Result<Vec<(ListenerId, std::net::TcpListener)>> {
        self.running
            .iter()
            .map(|(id, running)| Ok((id.clone(), running.socket.try_clone()?)))
            .collect()
    }

    /// Stops accepting; whoever was accepted is counted when this ends.
    pub(crate) async fn close(&mut self) {
        for (_, running) in self.running.drain() {
            running.task.abort();
            // The abort itself is the only way it ends.
            let _ = running.task.await;
        }
    }
}

struct Front {
    shared: Arc<Shared>,
    listener: Listener,
}

async fn accept(socket: TcpListener, front: Arc<Front>, leave: Leave) {
    let id = front.listener.id.as_str();
    let (open, total) = front.shared.metrics.listener(id);
    loop {
        let Ok((stream, peer)) = socket.accept().await else {
            // Out of descriptors, most likely: wait for some to come free.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let limits = &front.shared.live.load().config.client;
        let permit = match front
            .shared
            .guard
            .try_enter(weir_geoip::canonical(peer.ip()), limits)
        {
            Ok(permit) => permit,
            Err(refusal) => {
                front
                    .shared
                    .metrics
                    .connections_refused
                    .with_label_values(&[id, refusal_label(refusal)])
                    .inc();
                continue;
            }
        };
        total.inc();
        open.inc();
        let (front, leave, open) = (Arc::clone(&front), leave.clone(), open.clone());
        let frames = front.shared.frames.clone();
        tokio::spawn(Metered::new(&frames, async move {
            let shared = Arc::clone(&front.shared);
            // Each step has its own box, freed when it is done: an idle connection holds what serving it needs and nothing
            // of its handshake. As one future it was 16.7 KB (2026-11).
            if let Some(opened) = Box::pin(front.open(stream, peer)).await {
                opened.serve(leave).await;
            }
            shared.guard.release(permit);
            open.dec();
        }));
    }
}

/// A connection on which requests can come.
struct Opened {
    stream: ClientStream,
    /// Bytes that were read already.
    ahead: BytesMut,
    info: ConnectionInfo,
    h2: bool,
}

enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Rewound<TcpStream>>>),
}

impl Opened {
    async fn serve(self, leave: Leave) {
        let Self {
            stream,
            ahead,
            info,
            h2,
        } = self;
        match (stream, h2) {
            (ClientStream::Plain(stream), false) => Box::pin(serve_h1::run(stream, ahead, info, leave)).await,
            (ClientStream::Plain(stream), true) => {
                let stream = Rewound { ahead, stream };
                Box::pin(serve_h2::run(stream, Arc::new(info), leave)).await;
            }
            (ClientStream::Tls(stream), false) => Box::pin(serve_h1::run(stream, ahead, info, leave)).await,
            (ClientStream::Tls(stream), true) => {
                Box::pin(serve_h2::run(stream, Arc::new(info), leave)).await;
            }
        }
    }
}

impl Front {
    /// PROXY header, TLS handshake, and which protocol it is. `None` when the connection ends before a request.
    async fn open(&self, mut stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
        // Fails only on a socket that is closed already.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok()?;
        let timeout = self.shared.live.load().config.client.handshake_timeout;
        let deadline = tokio::time::Instant::now() + timeout;
        let mut ahead = BytesMut::new();
        let mut peer = peer;
        if self.listener.proxy_protocol {
            let header = tokio::time::timeout_at(deadline, self.proxy_header(&mut stream, &mut ahead, peer));
            peer = match header.await {
                Ok(Some(client)) => client,
                Ok(None) => return self.cut("proxy_protocol"),
                Err(_) => return self.cut("handshake_timeout"),
            };
        }
        let Some(tls) = &self.listener.tls else {
            return self.plain(stream, ahead, self.info(peer, local, None)).await;
        };
        let stream = Rewound { ahead, stream };
        match tokio::time::timeout_at(deadline, self.handshake(stream, tls)).await {
            Ok(Some((stream, tenant))) => Some(Opened {
                h2: stream.get_ref().1.alpn_protocol() == Some(b"h2") || !self.listener.h1,
                stream: ClientStream::Tls(stream),
                ahead: BytesMut::new(),
                info: self.info(peer, local, Some(tenant)),
            }),
            Ok(None) => {
                self.shake("failed");
                None
            }
            Err(_) => {
                self.shake("timeout");
                self.cut("handshake_timeout")
            }
        }
    }

    /// Counts a connection that is cut here.
    fn cut(&self, reason: &str) -> Option<Opened> {
        self.shared.metrics.cuts.with_label_values(&[reason]).inc();
        None
    }

    fn shake(&self, result: &str) {
        self.shared
            .metrics
            .handshakes
            .with_label_values(&[self.listener.id.as_str(), result])
            .inc();
    }

    async fn proxy_header(
        &self,
        stream: &mut TcpStream,
        ahead: &mut BytesMut,
        peer: SocketAddr,
    ) -> Option<SocketAddr> {
        let canonical = weir_geoip::canonical(peer.ip());
        if !self
            .shared
            .live
            .load()
            .config
            .trust
            .proxies
            .iter()
            .any(|net| net.contains(&canonical))
        {
            return None;
        }
        loop {
            if std::future::poll_fn(|cx| buffer::poll_fill(stream, ahead, cx))
                .await
                .ok()?
                == 0
            {
                return None;
            }
            match proxy_protocol::parse(ahead) {
                Ok(Some(parsed)) => {
                    bytes::Buf::advance(ahead, parsed.bytes);
                    return Some(parsed.client.unwrap_or(peer));
                }
                Ok(None) if ahead.len() < proxy_protocol::BYTES_MAX => {}
                _ => return None,
            }
        }
    }

    fn info(&self, peer: SocketAddr, local: SocketAddr, tls: Option<TenantId>) -> ConnectionInfo {
        let live = self.shared.live.load();
        let tenant = tls.as_ref().and_then(|tenant| live.tenants.get(tenant));
        let account = tenant.map(|tenant| tenant.accounts.tenant());
        ConnectionInfo {
            open: self.shared.frames.connection(account),
            shared: Arc::clone(&self.shared),
            listener: self.listener.id.clone(),
            peer,
            peer_text: weir_geoip::canonical(peer.ip()).to_string().into(),
            local,
            tls,
        }
    }

    async fn plain(
        &self,
        mut stream: TcpStream,
        mut ahead: BytesMut,
        info: ConnectionInfo,
    ) -> Option<Opened> {
        let mut h2 = false;
        if self.listener.h2 {
            let wait = self.shared.live.load().config.client.first_byte_timeout;
            h2 = match tokio::time::timeout(wait, speaks_h2(&mut stream, &mut ahead)).await {
                Ok(spoken) => spoken?,
                Err(_) => return self.cut("first_byte_timeout"),
            };
        }
        (h2 || self.listener.h1).then_some(Opened {
            stream: ClientStream::Plain(stream),
            ahead,
            info,
            h2,
        })
    }

    async fn handshake<S>(&self, stream: S, tls: &ListenerTls) -> Option<(Box<TlsStream<S>>, TenantId)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
            .await
            .ok()?;
        let live = self.shared.live.load_full();
        let found = start
            .client_hello()
            .server_name()
            .and_then(|name| live.certificates.find(name))
            .cloned();
        let found = found.or_else(|| {
            let unnamed = start.client_hello().server_name().is_none();
            if unnamed {
                live.certificates.find("").cloned()
            } else {
                None
            }
        });
        let Some(certificates) = found else {
            self.shake("unknown_name");
            // The client learns why; when it has left already there is nobody to tell.
            let _ = start.io.write_all(UNRECOGNIZED_NAME).await;
            let _ = start.io.shutdown().await;
            return None;
        };
        let tenant = live.tenants.get(&certificates.tenant);
        meter::works_for(tenant.map(|tenant| tenant.accounts.tenant()));
        let config = certificates
            .config(tls, self.listener.h1, self.listener.h2)
            .ok()?;
        let stream = start.into_stream(config).await.ok()?;
        self.shake("ok");
        Some((Box::new(stream), certificates.tenant.clone()))
    }
}

/// Label of `weir_connections_refused_total`.
const fn refusal_label(refusal: GuardRefusal) -> &'static str {
    match refusal {
        GuardRefusal::Address => "address",
        GuardRefusal::Prefix => "prefix",
        GuardRefusal::Total => "total",
    }
}

/// Whether the client begins with HTTP/2's preface; `None` when it left.
async fn speaks_h2(stream: &mut TcpStream, ahead: &mut BytesMut) -> Option<bool> {
    loop {
        let known = ahead.len().min(PREFACE.len());
        if known > 0 {
            if ahead.get(..known) != PREFACE.get(..known) {
                return Some(false);
            }
            if known == PREFACE.len() {
                return Some(true);
            }
        }
        if std::future::poll_fn(|cx| buffer::poll_fill(stream, ahead, cx))
            .await
            .ok()?
            == 0
        {
            return None;
        }
    }
}

/// A stream with bytes that were read ahead.
struct Rewound<S> {
    ahead: BytesMut,
    stream: S,
}

impl<S: Abort> Abort for Rewound<S> {
    fn abort_on_close(&self) {
        self.stream.abort_on_close();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.ahead.is_empty() {
            return std::pin::Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        let piece = self.ahead.split_to(count);
        buf.put_slice(&piece);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
