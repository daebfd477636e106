//! HTTP/1.1 towards an origin: one exchange on one connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use weir_h1::{ChunkedDecoder, Framing, Limits, Scan};

use super::connect::UpstreamStream;
use super::{BodyProgress, ResponseMessage, UpstreamFault};
use crate::downstream::{Trailers, buffer};

/// Bounds of an origin's head.
const LIMITS: Limits = Limits {
    head_bytes_max: 128 * 1024,
    fields_max: 256,
    target_bytes_max: 0,
};
/// Bytes of an origin's trailer fields.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// Interim responses before the final one.
const INTERIM_MAX: u8 = 8;

enum BodyState {
    Done,
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
}

/// An exchange with an origin that speaks HTTP/1.1.
pub(crate) struct H1Exchange {
    stream: UpstreamStream,
    buffer: BytesMut,
    scan: Scan,
    /// What `data` shows: so many bytes at the start of `buffer`, of which the decoder will drop `skip` behind them.
    ready: usize,
    skip: usize,
    queued: Vec<u8>,
    pending: Bytes,
    chunked_upload: bool,
    upload_done: bool,
    written: bool,
    body: BodyState,
    reusable: bool,
    interims: u8,
}

impl H1Exchange {
    /// An exchange on `stream`; `head` is the request head as it goes out. With `chunked_upload` the pieces of the body
    /// are framed as chunks.
    pub(crate) fn new(stream: UpstreamStream, head: Vec<u8>, chunked_upload: bool) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            scan: Scan::default(),
            ready: 0,
            skip: 0,
            queued: head,
            pending: Bytes::new(),
            chunked_upload,
            upload_done: false,
            written: false,
            body: BodyState::Done,
            reusable: false,
            interims: 0,
        }
    }

    /// True once a byte of the request may have left.
    pub(crate) fn written_any(&self) -> bool {
        self.written
    }

    /// True when the next piece of the body can be given to [`Self::send`].
    pub(crate) fn wants_body(&self) -> bool {
        !self.upload_done && self.pending.is_empty() && self.queued.len() < 64 * 1024
    }

    /// Queues a piece of the body.
    pub(crate) fn send(&mut self, data: Bytes) {
        if self.chunked_upload {
            weir_h1::write_chunk_head(&mut self.queued, data.len());
            self.queued.extend_from_slice(&data);
            self.queued.extend_from_slice(weir_h1::CHUNK_END);
        } else if data.len() <= 16 * 1024 {
            self.queued.extend_from_slice(&data);
        } else {
            self.pending = data;
        }
    }

    /// Queues the end of the body.
    pub(crate) fn end(&mut self, trailers: &Trailers) {
        self.upload_done = true;
        if self.chunked_upload {
            weir_h1::write_last_chunk(&mut self.queued, trailers);
        }
    }

    /// Writes what is queued. Ready when all has left.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFault>> {
        loop {
            let from_queue = !self.queued.is_empty();
            let bytes: &[u8] = if from_queue { &self.queued } else { &self.pending };
            if bytes.is_empty() {
                return Pin::new(&mut self.stream)
                    .poll_flush(cx)
                    .map_err(|_| UpstreamFault::Reset);
            }
            let Ok(count) = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes)) else {
                return Poll::Ready(Err(UpstreamFault::Reset));
            };
            if count == 0 {
                return Poll::Ready(Err(UpstreamFault::Reset));
            }
            self.written = true;
            if !from_queue {
                self.pending.advance(count);
            } else if count == self.queued.len() {
                self.queued.clear();
            } else {
                self.queued.drain(..count);
            }
        }
    }

    /// Reads the head of the next response, interim ones included.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &[u8],
    ) -> Poll<Result<ResponseMessage, UpstreamFault>> {
        loop {
            if !self.buffer.is_empty() {
                match weir_h1::parse_response_from(&self.buffer, &LIMITS, method, &mut self.scan) {
                    Ok(Some(head)) => return Poll::Ready(self.begin(head)),
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Err(UpstreamFault::Protocol)),
                }
            }
            match ready!(buffer::poll_fill(&mut self.stream, &mut self.buffer, cx)) {
                Ok(0) if self.buffer.is_empty() => return Poll::Ready(Err(UpstreamFault::Reset)),
                Ok(0) => return Poll::Ready(Err(UpstreamFault::Protocol)),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(UpstreamFault::Reset)),
            }
        }
    }

    fn begin(&mut self, head: weir_h1::ResponseHead) -> Result<ResponseMessage, UpstreamFault> {
        let bytes = self.buffer.split_to(head.head_bytes);
        let interim = (100..200).contains(&head.status) && head.status != 101;
        if interim {
            self.interims += 1;
            if self.interims > INTERIM_MAX {
                return Err(UpstreamFault::Protocol);
            }
        } else {
            self.reusable = head.keep_alive && head.framing != Framing::UntilClose && head.status != 101;
            self.body = match head.framing {
                Framing::None | Framing::Length(0) => BodyState::Done,
                Framing::Length(length) => BodyState::Length(length),
                Framing::Chunked => BodyState::Chunked(Box::new(ChunkedDecoder::new(TRAILER_BYTES_MAX))),
                Framing::UntilClose => BodyState::UntilClose,
            };
        }
        Ok(ResponseMessage {
            status: head.status,
            length: match head.framing {
                Framing::Length(length) => Some(length),
                _ => None,
            },
            empty: head.framing == Framing::None,
            buffer: bytes,
            fields: head.fields,
        })
    }

    /// The bytes of the body that are at hand.
    pub(crate) fn data(&self) -> &[u8] {
        self.buffer.get(..self.ready).unwrap_or_default()
    }

    /// Drops the first `count` bytes of [`Self::data`].
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.ready);
        self.buffer.advance(count);
        self.ready -= count;
        if self.ready == 0 {
            self.buffer.advance(self.skip.min(self.buffer.len()));
            self.skip = 0;
        }
    }

    /// Makes more of the body available in [`Self::data`], which must be empty.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyProgress, UpstreamFault>> {
        loop {
            if let Some(progress) = self.decode() {
                return Poll::Ready(progress);
            }
            match ready!(buffer::poll_fill(&mut self.stream, &mut self.buffer, cx)) {
                Ok(0) if matches!(self.body, BodyState::UntilClose) => {
                    self.body = BodyState::Done;
                    return Poll::Ready(Ok(BodyProgress::End(Vec::new())));
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(UpstreamFault::Reset)),
                Ok(_) => {}
            }
        }
    }

    fn decode(&mut self) -> Option<Result<BodyProgress, UpstreamFault>> {
        match &mut self.body {
            BodyState::Done => Some(Ok(BodyProgress::End(Vec::new()))),
            BodyState::Chunked(decoder) if decoder.is_done() => {
                let trailers = decoder.trailers().to_vec();
                self.body = BodyState::Done;
                Some(Ok(BodyProgress::End(trailers)))
            }
            _ if self.buffer.is_empty() => None,
            BodyState::UntilClose => {
                self.ready = self.buffer.len();
                Some(Ok(BodyProgress::Data))
            }
            BodyState::Length(left) => {
                self.ready = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(self.buffer.len());
                *left -= self.ready as u64;
                if *left == 0 {
                    self.body = BodyState::Done;
                }
                Some(Ok(BodyProgress::Data))
            }
            BodyState::Chunked(decoder) => loop {
                let Ok(decoded) = decoder.decode(&self.buffer) else {
                    return Some(Err(UpstreamFault::Protocol));
                };
                if !decoded.data.is_empty() {
                    self.buffer.advance(decoded.data.start);
                    self.ready = decoded.data.len();
                    self.skip = decoded.consumed - decoded.data.end;
                    return Some(Ok(BodyProgress::Data));
                }
                self.buffer.advance(decoded.consumed);
                if decoded.done {
                    let trailers = decoder.trailers().to_vec();
                    self.body = BodyState::Done;
                    return Some(Ok(BodyProgress::End(trailers)));
                }
                if decoded.consumed == 0 || self.buffer.is_empty() {
                    return None;
                }
            },
        }
    }

    /// The connection, if another request may use it: answer complete, nothing left over, upload complete.
    pub(crate) fn into_reusable(mut self) -> Option<UpstreamStream> {
        let whole = self.reusable
            && self.upload_done
            && self.queued.is_empty()
            && self.pending.is_empty()
            && self.buffer.is_empty()
            && matches!(self.body, BodyState::Done);
        buffer::release(&mut self.buffer);
        whole.then_some(self.stream)
    }

    /// The stream and what was read ahead, after `101 Switching Protocols`.
    pub(crate) fn into_upgraded(self) -> (UpstreamStream, BytesMut) {
        (self.stream, self.buffer)
    }

    /// Result of a write that failed while the origin may have answered already.
    pub(crate) fn stop_upload(&mut self) {
        self.queued.clear();
        self.pending = Bytes::new();
        self.reusable = false;
    }
}
