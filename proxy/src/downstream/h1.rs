//! HTTP/1.x towards a client: a byte stream becomes exchanges, one after the other.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use weir_h1::{ChunkedDecoder, Framing, Limits, RequestError, RequestHead, Scan, Version};
use weir_schema::config::checked::ClientLimits;

use super::patience::Patience;
use super::{BodyFault, Chunk, Downstream, ResponseBody, ResponseParts, Trailers, buffer};
use crate::clock;
use crate::listen::socket::Abort;
use crate::listen::watchdog::Watchdog;

/// Bytes of trailer fields accepted behind a chunked body.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Pieces of a body up to this size wait for the next write or flush instead of taking a system call each.
const COPIED_BYTES_MAX: usize = 2048;

/// Bytes that may wait.
const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// Memory of the queue that an idle connection keeps: a head and a small body.
const QUEUE_KEPT_BYTES: usize = 4096;

/// Why no head could be read.
#[derive(Debug)]
pub(crate) enum HeadFault {
    /// The client closed, or the connection broke, before a head began.
    Closed,
    /// Nothing came within the idle or first-byte time.
    Idle,
    /// The head did not end in time.
    TimedOut,
    /// A target with the scheme `https` came over cleartext (RFC 9110 section 7.4).
    Misdirected,
    /// The bytes are no request that we serve.
    Refused(RequestError),
}

/// State of the request body of the current exchange.
enum BodyState {
    Done,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
}

/// State of the response body of the current exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteState {
    Idle,
    Empty,
    Length(u64),
    /// Bytes left of the chunk whose head is queued.
    Chunked(u64),
    UntilClose,
    Ended,
}

/// A client connection that speaks HTTP/1.x.
pub(crate) struct H1Connection<S> {
    stream: S,
    buffer: BytesMut,
    queued: Vec<u8>,
    body: BodyState,
    write: WriteState,
    continue_due: bool,
    keep_alive: bool,
    http10: bool,
    /// The request is a HEAD: no body may follow, not even that of a refusal.
    bodiless: bool,
    watchdog: Watchdog,
    write_timeout: Duration,
    patience: Patience,
    drain_bytes_max: u32,
    body_rate_min: u32,
    body_rate_grace: Duration,
    body_started: Option<tokio::time::Instant>,
    body_bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
    read_closed: bool,
    write_timed_out: bool,
    reset: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> H1Connection<S> {
    /// Wraps a stream; `buffer` holds bytes that were read from it already.
    pub(crate) fn new(stream: S, buffer: BytesMut, limits: &ClientLimits) -> Self {
        Self {
            stream,
            buffer,
            queued: Vec::new(),
            body: BodyState::Done,
            write: WriteState::Idle,
            continue_due: false,
            keep_alive: true,
            http10: false,
            bodiless: false,
            watchdog: Watchdog::new(limits.first_byte_timeout),
            write_timeout: limits.write_timeout,
            patience: Patience::new(limits.write_timeout, limits.body_rate_min),
            drain_bytes_max: limits.drain_bytes_max,
            body_rate_min: limits.body_rate_min,
            body_rate_grace: limits.body_rate_grace,
            body_started: None,
            body_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            read_closed: false,
            write_timed_out: false,
            reset: false,
        }
    }

    /// Reads the next head. The returned buffer holds it; give it back with [`Self::recycle`] after the exchange.
    ///
    /// # Errors
    /// Why there is none; the connection must be closed then.
    pub(crate) async fn read_head(
        &mut self,
        limits: &ClientLimits,
        first: bool,
        stop: &mut (impl Future<Output = ()> + Unpin),
    ) -> Result<(BytesMut, RequestHead), HeadFault> {
        let h1 = Limits {
            head_bytes_max: limits.header_bytes_max as usize,
            fields_max: limits.header_fields_max as usize,
            target_bytes_max: limits.target_bytes_max as usize,
        };
        self.write_timeout = limits.write_timeout;
        self.patience = Patience::new(limits.write_timeout, limits.body_rate_min);
        self.drain_bytes_max = limits.drain_bytes_max;
        self.body_rate_min = limits.body_rate_min;
        self.body_rate_grace = limits.body_rate_grace;
        if self.buffer.is_empty() {
            self.watchdog.set(if first {
                limits.first_byte_timeout
            } else {
                limits.idle_timeout
            });
        }
        let mut started = false;
        let mut scan = Scan::default();
        loop {
            if !self.buffer.is_empty() {
                match weir_h1::parse_request_from(&self.buffer, &h1, &mut scan) {
                    Ok(Some(head)) => return Ok(self.begin(head)),
                    Ok(None) => {}
                    Err(error) => {
                        self.bodiless = self.buffer.starts_with(b"HEAD ");
                        self.count_from(self.buffer.len());
                        return Err(HeadFault::Refused(error));
                    }
                }
                if !started {
                    started = true;
                    self.watchdog.set(limits.header_timeout);
                }
            }
            let read = poll_fn(|cx| {
                if let Poll::Ready(read) = buffer::poll_fill(&mut self.stream, &mut self.buffer, cx) {
                    return Poll::Ready(Some(read));
                }
                if !started && Pin::new(&mut *stop).poll(cx).is_ready() {
                    return Poll::Ready(Some(Ok(0)));
                }
                self.watchdog.poll_expired(cx).map(|()| None)
            });
            match read.await {
                Some(Ok(0) | Err(_)) => return Err(HeadFault::Closed),
                Some(Ok(_)) => {}
                None if started => {
                    self.count_from(self.buffer.len());
                    return Err(HeadFault::TimedOut);
                }
                None => return Err(HeadFault::Idle),
            }
        }
    }

    /// Begins to count the bytes of an exchange, of which so many are read.
    fn count_from(&mut self, head_bytes: usize) {
        self.bytes_in = head_bytes as u64;
        self.bytes_out = 0;
    }

    fn begin(&mut self, head: RequestHead) -> (BytesMut, RequestHead) {
        let bytes = if self.buffer.len() == head.head_bytes {
            std::mem::take(&mut self.buffer)
        } else {
            self.buffer.split_to(head.head_bytes)
        };
        self.body = match head.framing {
            Framing::Length(length) if length > 0 => BodyState::Length(length),
            Framing::Chunked => BodyState::Chunked(Box::new(ChunkedDecoder::new(TRAILER_BYTES_MAX))),
            _ => BodyState::Done,
        };
        self.continue_due = head.expect_continue && !self.body_done();
        self.bodiless = head.method.of(&bytes) == b"HEAD";
        self.keep_alive = head.keep_alive;
        self.http10 = head.version == Version::Http10;
        self.write = WriteState::Idle;
        self.body_started = None;
        self.body_bytes = 0;
        // What was read ahead belongs to the exchange that uses it.
        self.count_from(head.head_bytes);
        (bytes, head)
    }

    /// Takes the head's buffer back.
    pub(crate) fn recycle(&mut self, mut bytes: BytesMut) {
        if self.buffer.capacity() == 0 {
            bytes.clear();
            buffer::release(&mut bytes);
        }
    }

    /// Whether the client was cut because it did not read.
    pub(crate) fn write_timed_out(&self) -> bool {
        self.write_timed_out
    }

    /// The next response says `connection: close`.
    pub(crate) fn close_after(&mut self) {
        self.keep_alive = false;
    }

    /// Whether the response of this exchange was written to its end.
    pub(crate) fn response_ended(&self) -> bool {
        self.write == WriteState::Ended
    }

    /// Ends the exchange: drops what is left of a small request body. True when the connection can carry another one.
    pub(crate) async fn finish(&mut self) -> bool {
        if !self.response_ended() || !self.keep_alive || self.patience.is_tried() || !self.can_drain() {
            return false;
        }
        if self.queued.is_empty() && self.queued.capacity() > QUEUE_KEPT_BYTES {
            self.queued = Vec::new();
        }
        let mut left = u64::from(self.drain_bytes_max);
        while !self.body_done() {
            match poll_fn(|cx| self.poll_body(cx)).await {
                Ok(Chunk::Data(data)) if (data.len() as u64) <= left => left -= data.len() as u64,
                Ok(Chunk::End(_)) => break,
                _ => return false,
            }
        }
        true
    }

    /// Whether what is left of the request body may be read and dropped after the answer.
    fn can_drain(&self) -> bool {
        match self.body {
            BodyState::Done => true,
            // The client still waits for 100 Continue: whether it sends the body now cannot be known.
            _ if self.continue_due => false,
            BodyState::Length(left) => left <= u64::from(self.drain_bytes_max),
            BodyState::Chunked(_) => true,
        }
    }

    /// Takes the connection apart after `101 Switching Protocols`: the stream and what was read ahead.
    pub(crate) fn upgraded(&mut self) -> (&mut S, BytesMut) {
        (&mut self.stream, std::mem::take(&mut self.buffer))
    }

    /// Writes queued bytes, then `data`, in one call where possible. Returns how much of `data` went out.
    fn poll_queued(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.queued.is_empty() && data.is_empty() {
                return Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0);
            }
            let slices = [IoSlice::new(&self.queued), IoSlice::new(data)];
            let written = if data.is_empty() {
                Pin::new(&mut self.stream).poll_write(cx, &self.queued)
            } else if self.queued.is_empty() {
                Pin::new(&mut self.stream).poll_write(cx, data)
            } else {
                Pin::new(&mut self.stream).poll_write_vectored(cx, &slices)
            };
            let count = match written {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_stalled(cx),
            };
            self.bytes_out += count as u64;
            self.patience.progress(count);
            let from_queue = count.min(self.queued.len());
            if from_queue == self.queued.len() {
                self.queued.clear();
            } else {
                self.queued.drain(..from_queue);
            }
            if count > from_queue {
                return Poll::Ready(Ok(count - from_queue));
            }
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let deadline = self.patience.wait(tokio::time::Instant::now());
        self.watchdog.set_at(deadline);
        ready!(self.watchdog.poll_expired(cx));
        self.write_timed_out = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Fails when the body is slower than the least rate.
    fn poll_rate(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        if self.body_rate_min == 0 {
            return Poll::Pending;
        }
        let now = clock::recent_tokio();
        let started = *self.body_started.get_or_insert(now);
        // The moment at which the bytes so far would be too few.
        let paid =
            Duration::from_micros(self.body_bytes.saturating_mul(1_000_000) / u64::from(self.body_rate_min));
        let deadline = started + self.body_rate_grace.max(paid) + Duration::from_millis(1);
        self.watchdog
            .set_at(deadline.min(now + Duration::from_secs(3600)));
        self.watchdog.poll_expired(cx).map(|()| BodyFault::TimedOut)
    }

    fn take_data(&mut self) -> Option<Result<Chunk, BodyFault>> {
        match &mut self.body {
            BodyState::Done => Some(Ok(Chunk::End(Vec::new()))),
            BodyState::Length(left) => {
                if self.buffer.is_empty() {
                    return None;
                }
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(self.buffer.len());
                *left -= count as u64;
                self.bytes_in += count as u64;
                if *left == 0 {
                    self.body = BodyState::Done;
                }
                Some(Ok(Chunk::Data(self.buffer.split_to(count).freeze())))
            }
            BodyState::Chunked(decoder) => loop {
                let Ok(decoded) = decoder.decode(&self.buffer) else {
                    return Some(Err(BodyFault::Malformed));
                };
                self.bytes_in += decoded.consumed as u64;
                let data = decoded.data;
                if !data.is_empty() {
                    let mut piece = self.buffer.split_to(decoded.consumed);
                    piece.truncate(data.end);
                    piece.advance(data.start);
                    return Some(Ok(Chunk::Data(piece.freeze())));
                }
                self.buffer.advance(decoded.consumed);
                if decoded.done {
                    let trailers = kept_trailers(decoder.trailers());
                    self.body = BodyState::Done;
                    return Some(Ok(Chunk::End(trailers)));
                }
                if decoded.consumed == 0 || self.buffer.is_empty() {
                    return None;
                }
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> H1Connection<S> {
    /// Closes. After an answer that cannot be completed where only a reset shows that, or when the client does not read,
    /// that is a reset. Else what was queued is written, the write side is shut, and the client gets a moment to read it before a
    /// reset could destroy it (RFC 9112 section 9.6).
    pub(crate) async fn close(mut self) {
        if self.reset || self.write_timed_out {
            return self.stream.abort_on_close();
        }
        let wait = self.write_timeout.min(Duration::from_secs(5));
        self.patience = Patience::new(wait, self.body_rate_min);
        self.watchdog.set(wait);
        let shut = poll_fn(|cx| {
            if let Poll::Ready(done) = self.poll_queued(cx, &[]) {
                if done.is_err() {
                    return Poll::Ready(false);
                }
                if self.queued.is_empty() {
                    return Pin::new(&mut self.stream)
                        .poll_shutdown(cx)
                        .map(|shut| shut.is_ok());
                }
            }
            self.watchdog.poll_expired(cx).map(|()| false)
        });
        if !shut.await {
            return;
        }
        self.watchdog.set(Duration::from_secs(2));
        let mut left = 256 * 1024_usize;
        loop {
            self.buffer.clear();
            let read = poll_fn(|cx| {
                if let Poll::Ready(read) = buffer::poll_fill(&mut self.stream, &mut self.buffer, cx) {
                    return Poll::Ready(read.unwrap_or(0));
                }
                self.watchdog.poll_expired(cx).map(|()| 0)
            });
            let count = read.await;
            if count == 0 || count > left {
                return;
            }
            left -= count;
        }
    }
}

/// Request trailers without those that only Weir or a proxy may set, trusted or not: a trailer comes too late for both.
fn kept_trailers(trailers: &[weir_h1::Trailer]) -> Trailers {
    let kept = |name: &[u8]| !weir_decide::fields::drops_from_request(name, false);
    trailers.iter().filter(|(name, _)| kept(name)).cloned().collect()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Downstream for H1Connection<S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyFault>> {
        if !self.queued.is_empty() && ready!(self.poll_queued(cx, &[])).is_err() {
            return Poll::Ready(Err(BodyFault::Gone));
        }
        loop {
            if let Some(taken) = self.take_data() {
                match &taken {
                    Ok(Chunk::Data(data)) => self.body_bytes += data.len() as u64,
                    Ok(Chunk::End(_)) => {}
                    // Where the next request starts cannot be known: the answer says that there will be none.
                    Err(_) => self.keep_alive = false,
                }
                return Poll::Ready(taken);
            }
            match buffer::poll_fill(&mut self.stream, &mut self.buffer, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyFault::Gone)),
                Poll::Ready(Ok(_)) => {
                    self.continue_due = false;
                }
                Poll::Pending => {
                    let fault = ready!(self.poll_rate(cx));
                    self.keep_alive = false;
                    return Poll::Ready(Err(fault));
                }
            }
        }
    }

    fn body_done(&self) -> bool {
        matches!(self.body, BodyState::Done)
    }

    fn allow_body(&mut self) {
        if std::mem::take(&mut self.continue_due) && self.buffer.is_empty() {
            self.queued.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    fn interim(&mut self, status: u16, fields: &[(&[u8], &[u8])]) {
        if self.http10 {
            return;
        }
        weir_h1::write_status_line(&mut self.queued, status, weir_h1::reason(status).as_bytes());
        for (name, value) in fields {
            weir_h1::write_field(&mut self.queued, name, value);
        }
        self.queued.extend_from_slice(b"\r\n");
    }

    fn start(&mut self, parts: &ResponseParts<'_>) -> io::Result<()> {
        weir_h1::write_status_line(
            &mut self.queued,
            parts.status,
            weir_h1::reason(parts.status).as_bytes(),
        );
        for (name, value) in parts.fields {
            weir_h1::write_field(&mut self.queued, name, value);
        }
        if parts.status == 101 {
            self.queued.extend_from_slice(b"connection: upgrade\r\n\r\n");
            self.write = WriteState::UntilClose;
            self.keep_alive = false;
            return Ok(());
        }
        let dated = parts
            .fields
            .iter()
            .any(|(name, _)| weir_h1::header_eq(name, b"date"));
        if !dated {
            weir_h1::write_field(&mut self.queued, b"date", &clock::http_date());
        }
        if !self.can_drain() {
            self.keep_alive = false;
        }
        self.write = match parts.body {
            _ if self.bodiless => WriteState::Empty,
            ResponseBody::None => WriteState::Empty,
            ResponseBody::Length(length) => {
                // An origin that speaks HTTP/2 can say "no body" without the field.
                let told = |(name, _): &(&[u8], &[u8])| weir_h1::header_eq(name, b"content-length");
                if length == 0 && !parts.fields.iter().any(told) {
                    self.queued.extend_from_slice(b"content-length: 0\r\n");
                }
                WriteState::Length(length)
            }
            ResponseBody::Unknown if self.http10 => {
                self.keep_alive = false;
                WriteState::UntilClose
            }
            ResponseBody::Unknown => {
                self.queued.extend_from_slice(b"transfer-encoding: chunked\r\n");
                WriteState::Chunked(0)
            }
        };
        if !self.keep_alive {
            self.queued.extend_from_slice(b"connection: close\r\n");
        } else if self.http10 {
            self.queued.extend_from_slice(b"connection: keep-alive\r\n");
        }
        self.queued.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = match &mut self.write {
            WriteState::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            WriteState::Chunked(left) => {
                if *left == 0 && !data.is_empty() {
                    *left = data.len() as u64;
                    weir_h1::write_chunk_head(&mut self.queued, data.len());
                }
                usize::try_from(*left).unwrap_or(usize::MAX)
            }
            WriteState::UntilClose => usize::MAX,
            WriteState::Empty => return Poll::Ready(Ok(data.len())),
            WriteState::Idle | WriteState::Ended => {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            }
        };
        if allowed == 0 && !data.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let piece = &data[..data.len().min(allowed)];
        let copied = (1..=COPIED_BYTES_MAX).contains(&piece.len()) && self.queued.len() < QUEUED_BYTES_MAX;
        let count = if copied {
            self.queued.extend_from_slice(piece);
            piece.len()
        } else {
            ready!(self.poll_queued(cx, piece))?
        };
        match &mut self.write {
            WriteState::Length(left) => *left -= count as u64,
            WriteState::Chunked(left) => {
                *left -= count as u64;
                if *left == 0 && count > 0 {
                    self.queued.extend_from_slice(weir_h1::CHUNK_END);
                }
            }
            _ => {}
        }
        Poll::Ready(Ok(count))
    }

    fn end(&mut self, trailers: &Trailers) -> io::Result<()> {
        match self.write {
            WriteState::Length(left) if left > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            WriteState::Chunked(_) => {
                weir_h1::write_last_chunk(&mut self.queued, trailers);
            }
            _ => {}
        }
        self.write = WriteState::Ended;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(cx, &[]))?;
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.keep_alive = false;
        // A body that ends with the connection would look whole.
        self.reset = self.write == WriteState::UntilClose;
    }

    fn bytes(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Bytes read ahead are a pipelined request: bounded by one buffer, looked at after this exchange.
        if self.buffer.len() >= 16 * 1024 {
            return Poll::Pending;
        }
        if self.read_closed {
            return Poll::Pending;
        }
        match buffer::poll_fill(&mut self.stream, &mut self.buffer, cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(0)) => {
                // Half-closed: the client may still read its answer (RFC 9112 section 9.6). Writing tells when it does not.
                self.read_closed = true;
                self.keep_alive = false;
                Poll::Pending
            }
            Poll::Ready(Ok(_)) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
