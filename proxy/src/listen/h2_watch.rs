//! Between the socket and the `h2` crate: what the client sends is watched, and a peer that takes nothing is given up.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use weir_decide::h2_frames::{FrameFault, FrameWatch, Refill};
use weir_schema::config::checked::ClientLimits;

use super::gather::Gather;
use super::watchdog::Watchdog;
use crate::clock;

/// How long a closed connection is read from, so that the client sees our last frame before a TCP reset.
const LINGER: Duration = Duration::from_millis(200);
/// Bytes read and dropped meanwhile.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What a connection and its streams know of each other.
#[derive(Default)]
pub(crate) struct Ledger {
    pieces: AtomicU32,
    answers: AtomicU32,
    fault: OnceLock<FrameFault>,
    stalled: AtomicBool,
    any_malformed: AtomicBool,
    malformed: Mutex<Vec<u32>>,
    /// What is written waits until the connection's loop lets it go.
    holds: AtomicBool,
}

impl Ledger {
    /// A head or a piece of a body went to the client.
    pub(crate) fn sent_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer went to the client to its end.
    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the trailers of this stream are malformed. Asked once, when they have arrived.
    pub(crate) fn take_malformed(&self, stream: u32) -> bool {
        if !self.any_malformed.load(Ordering::Acquire) {
            return false;
        }
        let mut malformed = self.malformed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = malformed.len();
        malformed.retain(|known| *known != stream);
        malformed.len() < before
    }

    /// Whether what is written waits, to leave together with what comes next.
    pub(super) fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// Why the connection has to end, if it has.
    pub(super) fn fault(&self) -> Option<FrameFault> {
        self.fault.get().copied()
    }

    /// The client has taken nothing for too long.
    pub(super) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    fn refill(&self) -> Refill {
        Refill {
            now_ns: clock::recent_ns(),
            pieces: self.pieces.load(Ordering::Relaxed),
            answers: self.answers.load(Ordering::Relaxed),
        }
    }

    fn add_malformed(&self, streams: &[u32], max: usize) {
        let mut malformed = self.malformed.lock().unwrap_or_else(PoisonError::into_inner);
        // Streams that were reset before anybody asked stay behind: the oldest go.
        malformed.extend_from_slice(streams);
        let over = malformed.len().saturating_sub(max);
        malformed.drain(..over);
        self.any_malformed.store(true, Ordering::Release);
    }
}

/// What a client's stream can do.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for S {}

/// A client's stream with a watch on it.
pub(super) struct Watched<S: Transport> {
    /// There until this is dropped.
    stream: Option<S>,
    watch: FrameWatch,
    gather: Gather,
    ledger: Arc<Ledger>,
    streams_max: usize,
    header_timeout: Duration,
    /// Counts while the client owes the rest of a head; a trickle does not stop it.
    head: Option<Watchdog>,
    owing: bool,
    stall_timeout: Duration,
    /// Counts while the client takes nothing.
    stall: Option<Watchdog>,
    stalling: bool,
    lingers: bool,
}

impl<S: Transport> Watched<S> {
    pub(super) fn new(stream: S, limits: &ClientLimits, ledger: Arc<Ledger>) -> Self {
        Self {
            stream: Some(stream),
            watch: FrameWatch::new(&limits.h2, clock::recent_ns()),
            gather: Gather::default(),
            ledger,
            streams_max: limits.h2.streams_max as usize,
            header_timeout: limits.header_timeout,
            head: None,
            owing: false,
            stall_timeout: limits.h2.stall_timeout,
            stall: None,
            stalling: false,
            lingers: false,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Nothing to read now: a head that was begun must end in time.
    fn poll_head_owed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.watch.owes_head() {
            self.owing = false;
            return Poll::Pending;
        }
        let head = self
            .head
            .get_or_insert_with(|| Watchdog::new(self.header_timeout));
        if !self.owing {
            self.owing = true;
            head.set(self.header_timeout);
        }
        head.poll_expired(cx)
    }

    /// Writes what waits, watching that the client takes it.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let drained = self.gather.poll_drain(stream, cx);
        self.judge_write(drained.map_ok(|()| 0), cx).map_ok(|_| ())
    }

    /// A write that came back with `written`: nothing for too long is the end.
    fn judge_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalling = false;
            return written;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Watchdog::new(self.stall_timeout));
        if !self.stalling {
            self.stalling = true;
            stall.set(self.stall_timeout);
        }
        ready!(stall.poll_expired(cx));
        self.ledger.stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Transport> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ledger.fault().is_some() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.stream()?.poll_read(cx, buf)?.is_pending() {
            if this.poll_head_owed(cx).is_ready() {
                let _ = this.ledger.fault.set(FrameFault::SlowHead);
            }
            return Poll::Pending;
        }
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Err(fault) = this.watch.observe(fresh, || this.ledger.refill()) {
            // The connection's loop looks for it as soon as this returns, and says goodbye.
            let _ = this.ledger.fault.set(fault);
            buf.set_filled(before);
            return Poll::Pending;
        }
        let malformed = this.watch.take_malformed();
        if !malformed.is_empty() {
            this.ledger.add_malformed(&malformed, this.streams_max);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.ledger.holds()
            && let Some(count) = this.gather.take(bufs)
        {
            return Poll::Ready(Ok(count));
        }
        ready!(this.poll_drain(cx))?;
        let written = this.stream()?.poll_write_vectored(cx, bufs);
        this.judge_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ledger.holds() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_drain(cx))?;
        let flushed = this.stream()?.poll_flush(cx);
        this.judge_write(flushed.map_ok(|()| 0), cx).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let shut = ready!(this.stream()?.poll_shutdown(cx));
        this.lingers = shut.is_ok();
        Poll::Ready(shut)
    }
}

/// Closing with unread bytes would make the kernel reset the connection, and the client might never see the last GOAWAY:
/// what a client sends after our end of the connection is read and dropped for a moment.
impl<S: Transport> Drop for Watched<S> {
    fn drop(&mut self) {
        if let (true, Some(stream), Ok(runtime)) = (self.lingers, self.stream.take(), Handle::try_current()) {
            runtime.spawn(async move {
                // Either way it is closed now.
                let _ = tokio::time::timeout(LINGER, drain(stream)).await;
            });
        }
    }
}

async fn drain<S: Transport>(mut stream: S) {
    let mut dropped = [0_u8; 4096];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(count @ 1..) = stream.read(&mut dropped).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}
