//! HTTP/2 towards a client: a connection task accepts streams, each stream is one exchange.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::Instant;
use weir_h1::{FieldSpan, FieldSpans, Span, TrailerRule};
use weir_schema::config::checked::ClientLimits;

use super::{BodyFault, Chunk, Downstream, ResponseBody, ResponseParts, Trailers};
use crate::listen::h2_watch::Ledger;
use crate::listen::watchdog::Watchdog;

/// Bytes that a client must take within the stall timeout, if there are so many.
const PROGRESS_BYTES_MIN: u64 = 1024;
/// Longest wait that a fast beginning of a body can pay for.
const RATE_CREDIT_MAX: Duration = Duration::from_secs(3600);
/// Bytes handed to the connection at once.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Appends `bytes` and tells where they are.
pub(crate) fn append(buffer: &mut BytesMut, bytes: &[u8]) -> Span {
    let start = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(bytes);
    Span {
        start,
        end: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
    }
}

/// Appends header fields and indexes them. Cookie crumbs are joined (RFC 9113 section 8.2.3).
pub(crate) fn append_fields(buffer: &mut BytesMut, headers: &HeaderMap) -> FieldSpans {
    let mut spans = FieldSpans::new();
    for (name, value) in headers {
        if name == http::header::COOKIE {
            continue;
        }
        let name = append(buffer, name.as_str().as_bytes());
        let value = append(buffer, value.as_bytes());
        spans.push(FieldSpan { name, value });
    }
    let mut crumbs = headers.get_all(http::header::COOKIE).iter().peekable();
    if crumbs.peek().is_some() {
        let name = append(buffer, b"cookie");
        let start = buffer.len();
        for (index, crumb) in crumbs.enumerate() {
            if index > 0 {
                buffer.extend_from_slice(b"; ");
            }
            buffer.extend_from_slice(crumb.as_bytes());
        }
        let value = Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(buffer.len()).unwrap_or(u32::MAX),
        };
        spans.push(FieldSpan { name, value });
    }
    spans
}

/// Whether names and values are those of RFC 9110, without white space around values (RFC 9113 section 8.2.1). The `http`
/// crate is laxer in names and does not look at white space.
pub(crate) fn well_formed(headers: &HeaderMap) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    headers.iter().all(|(name, value)| {
        let value = value.as_bytes();
        weir_h1::valid_field_name(name.as_str().as_bytes())
            && !blank(value.first())
            && !blank(value.last())
            && weir_h1::valid_field_value(value)
    })
}

/// Header fields as a map; those that HTTP/2 forbids must have been taken out before.
///
/// All values lie in one piece of memory, and the map has its size from the start: no allocation per value, no growing.
pub(crate) fn header_map<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
) -> io::Result<HeaderMap> {
    let (count, bytes) = fields.clone().fold((0, 0), |(count, bytes), (_, value)| {
        (count + 1, bytes + value.len())
    });
    let mut values = BytesMut::with_capacity(bytes);
    fields
        .clone()
        .for_each(|(_, value)| values.extend_from_slice(value));
    let mut values = values.freeze();
    // One more than there are: the `date` that an answer of ours may still get.
    let mut map = HeaderMap::with_capacity(count + 1);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(|_| io::ErrorKind::InvalidData)?;
        let value = values.split_to(value.len());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| io::ErrorKind::InvalidData)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Trailer fields of a stream that has ended, those that may be passed on. `None` when they are malformed.
pub(crate) fn poll_trailers(
    recv: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Trailers>, h2::Error>> {
    let trailers = ready!(recv.poll_trailers(cx))?;
    Poll::Ready(Ok(
        trailers.map_or_else(|| Some(Vec::new()), |map| kept_trailers(&map))
    ))
}

fn kept_trailers(map: &HeaderMap) -> Option<Trailers> {
    if !well_formed(map) {
        return None;
    }
    let mut kept = Trailers::with_capacity(map.len());
    for (name, value) in map {
        let name = name.as_str().as_bytes();
        match weir_h1::trailer_rule(name) {
            TrailerRule::Drop => {}
            TrailerRule::Keep => kept.push((name.into(), value.as_bytes().into())),
            TrailerRule::Refuse => return None,
        }
    }
    Some(kept)
}

/// One stream of a client's connection.
pub(crate) struct H2Stream {
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    recv: RecvStream,
    body_done: bool,
    data_ended: bool,
    ended: bool,
    length_left: Option<u64>,
    /// The last piece of a body whose length is known, until it is known whether trailers follow.
    last: Option<Bytes>,
    /// The client waits for `100 Continue`.
    continue_due: bool,
    /// The body may come as slowly as it likes.
    free: bool,
    ledger: Arc<Ledger>,
    stall: Stall,
    rate: BodyRate,
    bytes_in: u64,
    bytes_out: u64,
}

impl H2Stream {
    pub(crate) fn new(
        recv: RecvStream,
        respond: SendResponse<Bytes>,
        head_bytes: usize,
        limits: &ClientLimits,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            respond,
            send: None,
            body_done: recv.is_end_stream(),
            recv,
            data_ended: false,
            ended: false,
            length_left: None,
            last: None,
            continue_due: false,
            free: false,
            ledger,
            stall: Stall {
                timeout: limits.h2.stall_timeout,
                taken_bytes: 0,
                watchdog: None,
            },
            rate: BodyRate {
                bytes_per_s_min: limits.body_rate_min,
                grace: limits.body_rate_grace,
                waited: Duration::ZERO,
                since: None,
                bytes: 0,
                watchdog: None,
            },
            bytes_in: head_bytes as u64,
            bytes_out: 0,
        }
    }

    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) fn expect_continue(&mut self) {
        self.continue_due = true;
    }

    /// Ends the exchange. When the answer is whole and the client still sends, dropping the stream tells it to stop, behind
    /// the answer (RFC 9113 section 8.1); an explicit reset would overtake what is queued.
    pub(crate) fn finish(&mut self) {
        if self.ended {
            self.ledger.answered();
        } else {
            self.abort();
        }
    }
}

/// Whether a client takes the answer: a trickle of window updates is a stall too.
struct Stall {
    timeout: Duration,
    taken_bytes: u64,
    watchdog: Option<Watchdog>,
}

impl Stall {
    fn took(&mut self, bytes: usize) {
        self.taken_bytes += bytes as u64;
        if let Some(watchdog) = &mut self.watchdog
            && self.taken_bytes >= PROGRESS_BYTES_MIN
        {
            self.taken_bytes = 0;
            watchdog.set(self.timeout);
        }
    }

    /// There is nothing to take.
    fn rest(&mut self) {
        self.taken_bytes = 0;
        self.watchdog = None;
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let watchdog = self.watchdog.get_or_insert_with(|| {
            self.taken_bytes = 0;
            Watchdog::new(self.timeout)
        });
        watchdog.poll_expired(cx)
    }
}

/// The least rate of a request body. Only the time that is spent waiting for the client counts.
struct BodyRate {
    bytes_per_s_min: u32,
    grace: Duration,
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
    watchdog: Option<Watchdog>,
}

impl BodyRate {
    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes_per_s_min == 0 {
            return Poll::Pending;
        }
        let paid_us = self.bytes.saturating_mul(1_000_000) / u64::from(self.bytes_per_s_min);
        let allowed = self
            .grace
            .max(Duration::from_micros(paid_us))
            .min(RATE_CREDIT_MAX);
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + allowed.saturating_sub(self.waited);
        let watchdog = self.watchdog.get_or_insert_with(|| Watchdog::new(allowed));
        watchdog.set_at(deadline);
        watchdog.poll_expired(cx)
    }
}

fn fault_of(error: &h2::Error) -> BodyFault {
    if error.is_reset() || error.is_io() {
        BodyFault::Gone
    } else {
        BodyFault::Malformed
    }
}

impl Downstream for H2Stream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyFault>> {
        loop {
            if self.body_done {
                return Poll::Ready(Ok(Chunk::End(Vec::new())));
            }
            if self.data_ended {
                let trailers = match ready!(poll_trailers(&mut self.recv, cx)) {
                    Ok(Some(trailers)) if !self.ledger.take_malformed(self.recv.stream_id().as_u32()) => {
                        trailers
                    }
                    Ok(_) => return Poll::Ready(Err(BodyFault::Malformed)),
                    Err(error) => return Poll::Ready(Err(fault_of(&error))),
                };
                self.body_done = true;
                return Poll::Ready(Ok(Chunk::End(trailers)));
            }
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    let _ = self.recv.flow_control().release_capacity(data.len());
                    self.bytes_in += data.len() as u64;
                    self.rate.came(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Chunk::Data(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(fault_of(&error))),
                Poll::Ready(None) => self.data_ended = true,
                Poll::Pending if self.free => return Poll::Pending,
                Poll::Pending => {
                    return self.rate.poll_too_slow(cx).map(|()| Err(BodyFault::TimedOut));
                }
            }
        }
    }

    fn body_done(&self) -> bool {
        self.body_done
    }

    fn allow_body(&mut self) {
        if std::mem::take(&mut self.continue_due) && !self.body_done {
            self.interim(100, &[]);
        }
    }

    fn free_body(&mut self) {
        self.free = true;
    }

    fn interim(&mut self, status: u16, fields: &[(&[u8], &[u8])]) {
        let Ok(status) = StatusCode::from_u16(status) else {
            return;
        };
        let mut response = Response::new(());
        *response.status_mut() = status;
        if let Ok(headers) = header_map(fields.iter().copied()) {
            *response.headers_mut() = headers;
            // An interim response is a courtesy: when it cannot be sent, the final one will say why.
            let _ = self.respond.send_informational(response);
        }
    }

    fn start(&mut self, parts: &ResponseParts<'_>) -> io::Result<()> {
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(parts.status).map_err(|_| io::ErrorKind::InvalidData)?;
        let headers = response.headers_mut();
        *headers = header_map(parts.fields.iter().copied())?;
        if !headers.contains_key(http::header::DATE) {
            let date = HeaderValue::from_bytes(&crate::clock::http_date());
            headers.insert(http::header::DATE, date.map_err(|_| io::ErrorKind::InvalidData)?);
        }
        let empty = matches!(parts.body, ResponseBody::None | ResponseBody::Length(0));
        if let ResponseBody::Length(length) = parts.body {
            self.length_left = Some(length);
        }
        self.bytes_out += parts
            .fields
            .iter()
            .map(|(name, value)| (name.len() + value.len()) as u64)
            .sum::<u64>();
        let send = self
            .respond
            .send_response(response, empty)
            .map_err(|_| io::ErrorKind::ConnectionReset)?;
        self.send = Some(send);
        self.ended = empty;
        self.ledger.sent_piece();
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended || data.is_empty() {
            return Poll::Ready(Ok(data.len()));
        }
        let Some(send) = &mut self.send else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        let mut capacity = send.capacity();
        if capacity == 0 {
            send.reserve_capacity(data.len().min(PIECE_BYTES_MAX));
            match send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(granted))) => capacity = granted,
                Poll::Ready(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Poll::Pending => {
                    ready!(self.stall.poll_stalled(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        let count = capacity.min(data.len());
        if count == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(left) = &mut self.length_left {
            *left = left.checked_sub(count as u64).ok_or(io::ErrorKind::InvalidData)?;
        }
        let piece = Bytes::copy_from_slice(data.get(..count).unwrap_or_default());
        if self.length_left == Some(0) {
            self.last = Some(piece);
        } else {
            send.send_data(piece, false)
                .map_err(|_| io::ErrorKind::ConnectionReset)?;
        }
        self.stall.took(count);
        if count == data.len() {
            self.stall.rest();
        }
        self.ledger.sent_piece();
        self.bytes_out += count as u64;
        Poll::Ready(Ok(count))
    }

    fn end(&mut self, trailers: &Trailers) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        if self.length_left.is_some_and(|left| left > 0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(send) = &mut self.send else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let last = self.last.take();
        let sent = if trailers.is_empty() {
            send.send_data(last.unwrap_or_default(), true)
        } else {
            if let Some(last) = last {
                send.send_data(last, false)
                    .map_err(|_| io::ErrorKind::ConnectionReset)?;
            }
            send.send_trailers(header_map(
                trailers.iter().map(|(name, value)| (&**name, &**value)),
            )?)
        };
        self.ended = true;
        sent.map_err(|_| io::ErrorKind::ConnectionReset.into())
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        match &mut self.send {
            Some(send) => send.send_reset(h2::Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
        }
        self.ended = true;
    }

    fn bytes(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Some(send) => send.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }
}
