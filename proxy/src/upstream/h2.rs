//! HTTP/2 towards an origin: shared connections, one stream per exchange.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;

use super::connect::UpstreamStream;
use super::h2_pool::{H2Connection, Place};
use super::{BodyProgress, ResponseMessage, UpstreamFault};
use crate::downstream::{Trailers, h2 as fields};

/// Sends new streams on an origin's connection.
pub(crate) type H2Handle = SendRequest<Bytes>;

/// Bytes that one answer may have in our buffers. The connection's window is without bound, so that an answer nobody reads
/// holds up no other.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The largest window there is (RFC 9113 section 6.9.1).
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// Bytes of a request body that wait in the connection.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Interim responses before the final one.
const INTERIM_MAX: u8 = 8;

/// Speaks the preface and waits for the origin's: only then is known how many streams it takes. The connection itself is
/// driven by a task that ends with it.
///
/// # Errors
/// [`UpstreamFault::Connect`] when the origin does not speak HTTP/2.
pub(crate) async fn handshake(stream: UpstreamStream) -> Result<H2Connection, UpstreamFault> {
    let (handle, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(128 * 1024)
        .handshake(stream)
        .await
        .map_err(|_| UpstreamFault::Connect)?;
    let settled = poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        if connection.max_concurrent_send_streams() > 0 {
            Poll::Ready(true)
        } else {
            Poll::Pending
        }
    });
    if !settled.await {
        return Err(UpstreamFault::Connect);
    }
    let usable = Arc::new(AtomicBool::new(true));
    let ended = Arc::clone(&usable);
    tokio::spawn(async move {
        // The fault reaches every open stream; there is nobody else to tell.
        let _ = connection.await;
        ended.store(false, Ordering::Release);
    });
    Ok(H2Connection::new(handle, usable))
}

/// What an HTTP/2 error means for the request. A GOAWAY that ends our stream, and REFUSED_STREAM, prove that the origin did
/// not look at it (RFC 9113 section 8.7); the `h2` crate lets a GOAWAY end only the streams above its last one.
fn fault_of(error: &h2::Error) -> UpstreamFault {
    if error.is_remote() && error.is_go_away() {
        UpstreamFault::Left
    } else if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        UpstreamFault::Refused
    } else if error.is_library() {
        UpstreamFault::Protocol
    } else {
        UpstreamFault::Reset
    }
}

/// An exchange with an origin that speaks HTTP/2.
pub(crate) struct H2Exchange {
    place: Place,
    send: SendStream<Bytes>,
    response: ResponseFuture,
    recv: Option<RecvStream>,
    pending: Bytes,
    current: Bytes,
    end_due: Option<Trailers>,
    upload_done: bool,
    data_ended: bool,
    interims: u8,
}

impl H2Exchange {
    /// Opens a stream; with `end` the request has no body.
    ///
    /// # Errors
    /// [`UpstreamFault::Left`]: nothing was sent, and the connection carries no new streams.
    pub(crate) fn open(place: Place, request: Request<()>, end: bool) -> Result<Self, UpstreamFault> {
        let Ok((response, send)) = place.handle().send_request(request, end) else {
            place.retire();
            return Err(UpstreamFault::Left);
        };
        Ok(Self {
            place,
            send,
            response,
            recv: None,
            pending: Bytes::new(),
            current: Bytes::new(),
            end_due: None,
            upload_done: end,
            data_ended: false,
            interims: 0,
        })
    }

    /// The connection is in doubt: it carries no new streams.
    pub(crate) fn retire(&self) {
        self.place.retire();
    }

    pub(crate) fn wants_body(&self) -> bool {
        !self.upload_done && self.pending.is_empty() && self.end_due.is_none()
    }

    pub(crate) fn send(&mut self, data: Bytes) {
        self.pending = data;
    }

    pub(crate) fn end(&mut self, trailers: &Trailers) {
        if !self.upload_done {
            self.end_due = Some(trailers.clone());
        }
    }

    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFault>> {
        while !self.pending.is_empty() {
            if self.send.capacity() == 0 {
                self.send.reserve_capacity(self.pending.len());
                match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    _ => return Poll::Ready(Err(UpstreamFault::Reset)),
                }
            }
            let count = self.send.capacity().min(self.pending.len());
            if count == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let piece = self.pending.split_to(count);
            self.send
                .send_data(piece, false)
                .map_err(|error| fault_of(&error))?;
        }
        if let Some(trailers) = self.end_due.take() {
            self.upload_done = true;
            let sent = if trailers.is_empty() {
                self.send.send_data(Bytes::new(), true)
            } else {
                let map = fields::header_map(trailers.iter().map(|(name, value)| (&**name, &**value)))
                    .map_err(|_| UpstreamFault::Protocol)?;
                self.send.send_trailers(map)
            };
            sent.map_err(|error| fault_of(&error))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &[u8],
    ) -> Poll<Result<ResponseMessage, UpstreamFault>> {
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            self.interims += 1;
            if self.interims > INTERIM_MAX {
                return Poll::Ready(Err(UpstreamFault::Protocol));
            }
            let (parts, ()) = interim.map_err(|error| fault_of(&error))?.into_parts();
            return Poll::Ready(message(&parts, true));
        }
        let response = ready!(Pin::new(&mut self.response).poll(cx)).map_err(|error| fault_of(&error))?;
        let (parts, recv) = response.into_parts();
        let empty = method == b"HEAD" || matches!(parts.status.as_u16(), 204 | 304);
        let ended = recv.is_end_stream();
        // A body that must not be there is not waited for.
        self.recv = (!empty).then_some(recv);
        Poll::Ready(message(&parts, empty).map(|mut message| {
            // The head is all there is, which gRPC calls trailers-only: it must arrive as one frame.
            if ended {
                message.length = Some(0);
            }
            message
        }))
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.current
    }

    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.current.len());
        self.current.advance(count);
        if let Some(recv) = &mut self.recv {
            // Fails only when more is given back than was taken, which `min` above excludes.
            let _ = recv.flow_control().release_capacity(count);
        }
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyProgress, UpstreamFault>> {
        let Some(recv) = &mut self.recv else {
            return Poll::Ready(Ok(BodyProgress::End(Vec::new())));
        };
        while !self.data_ended {
            match ready!(recv.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.current = data;
                    return Poll::Ready(Ok(BodyProgress::Data));
                }
                Some(Err(error)) => return Poll::Ready(Err(fault_of(&error))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(fields::poll_trailers(recv, cx)).map_err(|error| fault_of(&error))?;
        Poll::Ready(trailers.map(BodyProgress::End).ok_or(UpstreamFault::Protocol))
    }

    /// No more of the body is sent. A stream that is not whole is cancelled when this value is dropped: doing so now would
    /// take what the origin may have answered.
    pub(crate) fn stop_upload(&mut self) {
        self.pending = Bytes::new();
        self.end_due = None;
        self.upload_done = true;
    }
}

fn message(parts: &http::response::Parts, empty: bool) -> Result<ResponseMessage, UpstreamFault> {
    if !fields::well_formed(&parts.headers) || parts.status.as_u16() > 599 {
        return Err(UpstreamFault::Protocol);
    }
    let mut buffer = BytesMut::new();
    let spans = fields::append_fields(&mut buffer, &parts.headers);
    let length = parts
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(ResponseMessage {
        status: parts.status.as_u16(),
        buffer,
        fields: spans,
        length,
        empty,
    })
}
