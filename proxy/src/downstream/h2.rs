//! HTTP/2 towards a client: a connection task accepts streams, each stream is one exchange.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use weir_h1::{FieldSpan, FieldSpans, Span};

use super::{BodyFault, Chunk, Downstream, ResponseBody, ResponseParts, Trailers};
use crate::clock;
use crate::listen::watchdog::Watchdog;

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

/// Header fields as a map; those that HTTP/2 forbids must have been taken out before.
pub(crate) fn header_map<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(|_| io::ErrorKind::InvalidData)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| io::ErrorKind::InvalidData)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Trailer fields of a stream that has ended.
pub(crate) fn poll_trailers(
    recv: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Trailers, h2::Error>> {
    let trailers = ready!(recv.poll_trailers(cx))?;
    let own = |map: HeaderMap| {
        map.iter()
            .map(|(name, value)| (Box::from(name.as_str().as_bytes()), Box::from(value.as_bytes())))
            .collect()
    };
    Poll::Ready(Ok(trailers.map(own).unwrap_or_default()))
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
    stall_timeout: Duration,
    watchdog: Option<Watchdog>,
    body_rate_min: u32,
    body_rate_grace: Duration,
    body_started: Option<tokio::time::Instant>,
    bytes_in: u64,
    bytes_out: u64,
}

impl H2Stream {
    pub(crate) fn new(
        recv: RecvStream,
        respond: SendResponse<Bytes>,
        head_bytes: usize,
        limits: &weir_schema::config::checked::ClientLimits,
    ) -> Self {
        Self {
            respond,
            send: None,
            body_done: recv.is_end_stream(),
            recv,
            data_ended: false,
            ended: false,
            length_left: None,
            stall_timeout: limits.h2.stall_timeout,
            watchdog: None,
            body_rate_min: limits.body_rate_min,
            body_rate_grace: limits.body_rate_grace,
            body_started: None,
            bytes_in: head_bytes as u64,
            bytes_out: 0,
        }
    }

    /// Ends the exchange: what is left of the request body is not wanted.
    pub(crate) fn finish(&mut self) {
        if !self.ended {
            self.abort();
        } else if !self.body_done {
            // The whole answer is on its way: the client may stop sending (RFC 9113 section 8.1).
            if let Some(send) = &mut self.send {
                send.send_reset(h2::Reason::NO_ERROR);
            }
        }
    }

    fn poll_watchdog(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<()> {
        let watchdog = self.watchdog.get_or_insert_with(|| Watchdog::new(timeout));
        watchdog.poll_expired(cx)
    }

    fn poll_rate(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        if self.body_rate_min == 0 {
            return Poll::Pending;
        }
        let now = clock::recent_tokio();
        let started = *self.body_started.get_or_insert(now);
        let paid =
            Duration::from_micros(self.bytes_in.saturating_mul(1_000_000) / u64::from(self.body_rate_min));
        let deadline = started + self.body_rate_grace.max(paid).min(Duration::from_secs(3600));
        let watchdog = self.watchdog.get_or_insert_with(|| Watchdog::new(deadline - now));
        watchdog.set_at(deadline);
        watchdog.poll_expired(cx).map(|()| BodyFault::TimedOut)
    }
}

impl Downstream for H2Stream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyFault>> {
        loop {
            if self.body_done {
                return Poll::Ready(Ok(Chunk::End(Vec::new())));
            }
            if self.data_ended {
                let trailers = ready!(poll_trailers(&mut self.recv, cx)).map_err(|_| BodyFault::Gone);
                self.body_done = true;
                return Poll::Ready(trailers.map(Chunk::End));
            }
            match self.recv.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    let _ = self.recv.flow_control().release_capacity(data.len());
                    self.bytes_in += data.len() as u64;
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Chunk::Data(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let fault = if error.is_reset() || error.is_io() {
                        BodyFault::Gone
                    } else {
                        BodyFault::Malformed
                    };
                    return Poll::Ready(Err(fault));
                }
                Poll::Ready(None) => self.data_ended = true,
                Poll::Pending => return self.poll_rate(cx).map(Err),
            }
        }
    }

    fn body_done(&self) -> bool {
        self.body_done
    }

    fn allow_body(&mut self) {}

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
        *response.headers_mut() = header_map(parts.fields.iter().copied())?;
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
            send.reserve_capacity(data.len().min(256 * 1024));
            match send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(granted))) => capacity = granted,
                Poll::Ready(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Poll::Pending => {
                    let timeout = self.stall_timeout;
                    ready!(self.poll_watchdog(cx, timeout));
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
        let last = self.length_left == Some(0);
        send.send_data(Bytes::copy_from_slice(&data[..count]), last)
            .map_err(|_| io::ErrorKind::ConnectionReset)?;
        self.ended = last;
        self.watchdog = None;
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
        let sent = if trailers.is_empty() {
            send.send_data(Bytes::new(), true)
        } else {
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
