//! Forwarding both ways at once: the rest of an upload goes up while the answer comes down.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::body::{REPLAY_BYTES_MAX, stop_of};
use super::hold_response::HeldResponse;
use super::serve::Stop;
use crate::clock;
use crate::downstream::{BodyFault, Chunk, Downstream, Trailers};
use crate::listen::watchdog::Watchdog;
use crate::upstream::{BodyProgress, ResponseMessage, UpstreamFault, h1, h2};

/// Pieces of a streamed body that are kept for another try.
const REPLAY_PIECES_MAX: usize = 256;

/// An exchange with an upstream, whatever it speaks.
pub(crate) enum Exchange {
    H1(Box<h1::H1Exchange>),
    H2(Box<h2::H2Exchange>),
}

macro_rules! dispatch {
    ($self:ident, $exchange:ident => $call:expr) => {
        match $self {
            Exchange::H1($exchange) => $call,
            Exchange::H2($exchange) => $call,
        }
    };
}

impl Exchange {
    pub(crate) fn wants_body(&self) -> bool {
        dispatch!(self, exchange => exchange.wants_body())
    }

    pub(crate) fn send(&mut self, data: Bytes) {
        dispatch!(self, exchange => exchange.send(data));
    }

    pub(crate) fn end(&mut self, trailers: &Trailers) {
        dispatch!(self, exchange => exchange.end(trailers));
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFault>> {
        dispatch!(self, exchange => exchange.poll_send(cx))
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &[u8],
    ) -> Poll<Result<ResponseMessage, UpstreamFault>> {
        dispatch!(self, exchange => exchange.poll_head(cx, method))
    }

    pub(super) fn data(&self) -> &[u8] {
        dispatch!(self, exchange => exchange.data())
    }

    pub(super) fn consume(&mut self, count: usize) {
        dispatch!(self, exchange => exchange.consume(count));
    }

    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyProgress, UpstreamFault>> {
        dispatch!(self, exchange => exchange.poll_body(cx))
    }

    fn stop_upload(&mut self) {
        dispatch!(self, exchange => exchange.stop_upload());
    }

    /// The upstream did not answer in time: a shared connection carries no further requests, one of its own is dropped.
    pub(crate) fn retire(&self) {
        if let Self::H2(exchange) = self {
            exchange.retire();
        }
    }

    /// True once a byte of the request may have left.
    pub(crate) fn written_any(&self) -> bool {
        match self {
            Self::H1(exchange) => exchange.written_any(),
            Self::H2(_) => true,
        }
    }
}

/// State of an upload while the answer is awaited or forwarded.
pub(crate) struct Upload {
    /// The client's body still has to be read.
    pub(crate) open: bool,
    /// Bytes taken so far, and the most the route allows.
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    broken: bool,
    replay: Replay,
}

/// What was taken of a streamed body so far, as long as it is small: another try can send it again.
#[derive(Default)]
struct Replay {
    pieces: Vec<Bytes>,
    bytes: u64,
    end: Option<Trailers>,
    /// Pieces that this try has got.
    sent: usize,
    lost: bool,
}

impl Replay {
    fn keep(&mut self, piece: &Bytes) {
        self.bytes += piece.len() as u64;
        if self.bytes > REPLAY_BYTES_MAX || self.pieces.len() >= REPLAY_PIECES_MAX {
            self.forget();
        } else if !self.lost {
            self.pieces.push(piece.clone());
            self.sent = self.pieces.len();
        }
    }

    fn forget(&mut self) {
        *self = Self {
            lost: true,
            ..Self::default()
        };
    }
}

impl Upload {
    pub(crate) fn new(open: bool, bytes: u64, bytes_max: Option<u64>) -> Self {
        Self {
            open,
            bytes,
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            broken: false,
            replay: Replay::default(),
        }
    }

    /// Goes back to the beginning of what was streamed, for another try. False when it is gone.
    pub(crate) fn rewind(&mut self) -> bool {
        self.broken = false;
        self.replay.sent = 0;
        self.open |= self.replay.end.is_some();
        !self.replay.lost
    }

    /// The next piece for the upstream: what an earlier try had got already, then what the client sends.
    fn poll_chunk<D: Downstream>(
        &mut self,
        down: &mut D,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Chunk, BodyFault>> {
        if let Some(piece) = self.replay.pieces.get(self.replay.sent) {
            self.replay.sent += 1;
            return Poll::Ready(Ok(Chunk::Data(piece.clone())));
        }
        if let Some(trailers) = &self.replay.end {
            return Poll::Ready(Ok(Chunk::End(trailers.clone())));
        }
        let chunk = ready!(down.poll_body(cx));
        match &chunk {
            Ok(Chunk::Data(data)) => {
                self.bytes += data.len() as u64;
                self.replay.keep(data);
            }
            Ok(Chunk::End(trailers)) if !self.replay.lost => self.replay.end = Some(trailers.clone()),
            _ => {}
        }
        Poll::Ready(chunk)
    }

    /// Moves the body up as far as it goes. Ready only with a reason to stop.
    pub(super) fn poll<D: Downstream>(
        &mut self,
        exchange: &mut Exchange,
        down: &mut D,
        cx: &mut Context<'_>,
    ) -> Poll<Stop> {
        while !self.broken {
            match exchange.poll_send(cx) {
                Poll::Ready(Ok(())) => match self.take(exchange, down, cx) {
                    Ok(true) => {}
                    Ok(false) => return Poll::Pending,
                    Err(stop) => return Poll::Ready(stop),
                },
                Poll::Pending => return Poll::Pending,
                // The origin may have answered before it closed: the answer decides.
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    exchange.stop_upload();
                }
            }
        }
        Poll::Pending
    }

    /// Queues what has come of the body; true when that was something. All of it before the next write: one system call
    /// per chunk would let a client that sends one byte in each chunk buy a call with six bytes.
    fn take<D: Downstream>(
        &mut self,
        exchange: &mut Exchange,
        down: &mut D,
        cx: &mut Context<'_>,
    ) -> Result<bool, Stop> {
        let mut moved = false;
        while self.open && exchange.wants_body() {
            match self.poll_chunk(down, cx) {
                Poll::Ready(Ok(Chunk::Data(data))) => {
                    if self.bytes > self.bytes_max {
                        return Err(Stop::refuse(weir_schema::codes::RefusalCode::BodyTooLarge));
                    }
                    exchange.send(data);
                }
                Poll::Ready(Ok(Chunk::End(trailers))) => {
                    self.open = false;
                    exchange.end(&trailers);
                }
                Poll::Ready(Err(fault)) => return Err(stop_of(fault)),
                Poll::Pending => break,
            }
            moved = true;
        }
        Ok(moved)
    }
}

/// Waits for the next response head while the upload goes on.
///
/// # Errors
/// A stop caused by the client, or the upstream's fault.
pub(crate) async fn response_head<D: Downstream>(
    exchange: &mut Exchange,
    upload: &mut Upload,
    down: &mut D,
    method: &[u8],
    watchdog: &mut Watchdog,
    timeout: Duration,
) -> Result<ResponseMessage, Stop> {
    watchdog.set(timeout);
    let mut seen = upload.bytes;
    poll_fn(|cx| {
        if let Poll::Ready(stop) = upload.poll(exchange, down, cx) {
            return Poll::Ready(Err(stop));
        }
        if upload.bytes != seen {
            seen = upload.bytes;
            watchdog.set(timeout);
        }
        if let Poll::Ready(head) = exchange.poll_head(cx, method) {
            return Poll::Ready(head.map_err(Stop::Upstream));
        }
        if !upload.open && down.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Stop::Gone));
        }
        watchdog
            .poll_expired(cx)
            .map(|()| Err(Stop::Upstream(UpstreamFault::Timeout)))
    })
    .await
}

/// How the forwarding of a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// The client has it all.
    Whole,
    /// The client left or was too slow.
    ClientGone,
    /// The upstream did not deliver it all.
    UpstreamCut,
}

/// How long an upstream may be silent, and when the whole must be over.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) timeout: Duration,
    pub(crate) deadline: Option<tokio::time::Instant>,
}

impl Patience {
    /// Something came: waits anew.
    pub(super) fn renew(self, watchdog: &mut Watchdog) {
        let next = clock::recent_tokio() + self.timeout;
        watchdog.set_at(self.deadline.map_or(next, |deadline| deadline.min(next)));
    }
}

/// Forwards the response body. The head is queued already; `held` is what was read of the body before.
pub(crate) async fn response_body<D: Downstream>(
    exchange: &mut Exchange,
    upload: &mut Upload,
    down: &mut D,
    watchdog: &mut Watchdog,
    patience: Patience,
    mut held: HeldResponse,
) -> Forwarded {
    patience.renew(watchdog);
    upload.replay.forget();
    let mut seen = upload.bytes;
    let mut ended = false;
    let done = poll_fn(|cx| {
        if upload.open
            && let Poll::Ready(stop) = upload.poll(exchange, down, cx)
        {
            let gone = matches!(stop, Stop::Gone);
            return Poll::Ready(if gone {
                Forwarded::ClientGone
            } else {
                Forwarded::UpstreamCut
            });
        }
        if upload.bytes != seen {
            // In a call that streams both ways, either way is progress.
            seen = upload.bytes;
            patience.renew(watchdog);
        }
        while !held.bytes.is_empty() {
            let Ok(count) = ready!(down.poll_write(cx, &held.bytes)) else {
                return Poll::Ready(Forwarded::ClientGone);
            };
            held.bytes.advance(count);
        }
        if let Some(trailers) = held.end.take() {
            if down.end(&trailers).is_err() {
                return Poll::Ready(Forwarded::UpstreamCut);
            }
            ended = true;
        }
        loop {
            if !exchange.data().is_empty() {
                let Ok(count) = ready!(down.poll_write(cx, exchange.data())) else {
                    return Poll::Ready(Forwarded::ClientGone);
                };
                exchange.consume(count);
                continue;
            }
            if ended {
                let flushed = ready!(down.poll_flush(cx));
                return Poll::Ready(if flushed.is_ok() {
                    Forwarded::Whole
                } else {
                    Forwarded::ClientGone
                });
            }
            match exchange.poll_body(cx) {
                Poll::Ready(Ok(BodyProgress::Data)) => patience.renew(watchdog),
                Poll::Ready(Ok(BodyProgress::End(trailers))) => {
                    if down.end(&trailers).is_err() {
                        return Poll::Ready(Forwarded::UpstreamCut);
                    }
                    ended = true;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Forwarded::UpstreamCut),
                Poll::Pending => {
                    if let Poll::Ready(Err(_)) = down.poll_flush(cx) {
                        return Poll::Ready(Forwarded::ClientGone);
                    }
                    if !upload.open && down.poll_gone(cx).is_ready() {
                        return Poll::Ready(Forwarded::ClientGone);
                    }
                    ready!(watchdog.poll_expired(cx));
                    return Poll::Ready(Forwarded::UpstreamCut);
                }
            }
        }
    })
    .await;
    if upload.open || done != Forwarded::Whole {
        exchange.stop_upload();
    }
    done
}
