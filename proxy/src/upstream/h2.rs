//! HTTP/2 towards an origin: one shared connection per endpoint, one stream per exchange.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;

use super::connect::UpstreamStream;
use super::{BodyProgress, ResponseMessage, UpstreamFault};
use crate::downstream::{Trailers, h2 as fields};

/// Sends new streams on an origin's connection.
pub(crate) type H2Handle = SendRequest<Bytes>;

/// Speaks the preface; the connection itself is driven by a task that ends with it.
///
/// # Errors
/// [`UpstreamFault::Connect`] when the origin does not speak HTTP/2.
pub(crate) async fn handshake(stream: UpstreamStream) -> Result<H2Handle, UpstreamFault> {
    let (handle, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_header_list_size(128 * 1024)
        .handshake(stream)
        .await
        .map_err(|_| UpstreamFault::Connect)?;
    tokio::spawn(async move {
        // The fault reaches every open stream; there is nobody else to tell.
        let _ = connection.await;
    });
    Ok(handle)
}

/// What an HTTP/2 error means for the request. GOAWAY below our stream and REFUSED_STREAM prove that it was not looked
/// at (RFC 9113 section 8.7).
fn fault_of(error: &h2::Error) -> UpstreamFault {
    if error.reason() == Some(h2::Reason::REFUSED_STREAM) && error.is_remote() {
        UpstreamFault::Refused
    } else if error.is_io() || error.is_reset() || error.is_go_away() {
        UpstreamFault::Reset
    } else {
        UpstreamFault::Protocol
    }
}

/// An exchange with an origin that speaks HTTP/2.
pub(crate) struct H2Exchange {
    send: SendStream<Bytes>,
    response: ResponseFuture,
    recv: Option<RecvStream>,
    pending: Bytes,
    current: Bytes,
    end_due: Option<Trailers>,
    upload_done: bool,
    data_ended: bool,
}

impl H2Exchange {
    /// Opens a stream; with `end` the request has no body.
    ///
    /// # Errors
    /// [`UpstreamFault::Refused`]: nothing was sent.
    pub(crate) async fn open(
        handle: H2Handle,
        request: Request<()>,
        end: bool,
    ) -> Result<Self, UpstreamFault> {
        let mut handle = handle.ready().await.map_err(|_| UpstreamFault::Refused)?;
        let (response, send) = handle
            .send_request(request, end)
            .map_err(|_| UpstreamFault::Refused)?;
        Ok(Self {
            send,
            response,
            recv: None,
            pending: Bytes::new(),
            current: Bytes::new(),
            end_due: None,
            upload_done: end,
            data_ended: false,
        })
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
        let response =
            ready!(std::pin::Pin::new(&mut self.response).poll(cx)).map_err(|error| fault_of(&error))?;
        let (parts, recv) = response.into_parts();
        let mut buffer = BytesMut::new();
        let spans = fields::append_fields(&mut buffer, &parts.headers);
        let length = parts
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let empty = method == b"HEAD" || matches!(parts.status.as_u16(), 204 | 304);
        self.recv = Some(recv);
        Poll::Ready(Ok(ResponseMessage {
            status: parts.status.as_u16(),
            buffer,
            fields: spans,
            length,
            empty,
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
        Poll::Ready(Ok(BodyProgress::End(trailers)))
    }

    pub(crate) fn stop_upload(&mut self) {
        self.pending = Bytes::new();
        self.end_due = None;
        if !self.upload_done {
            self.upload_done = true;
            self.send.send_reset(h2::Reason::CANCEL);
        }
    }
}
