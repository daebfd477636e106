//! A client's stream becomes exchanges: one trait for every protocol, one file per protocol.

pub(crate) mod buffer;
pub(crate) mod h1;
pub(crate) mod h2;
mod patience;

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

/// Trailer fields.
pub(crate) type Trailers = Vec<(Box<[u8]>, Box<[u8]>)>;

/// A piece of a message body.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Bytes, never empty.
    Data(Bytes),
    /// The end, with trailer fields.
    End(Trailers),
}

/// Why a request body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// The client left.
    Gone,
    /// The framing of the body is broken.
    Malformed,
    /// The client was too slow.
    TimedOut,
}

/// How the body of a response is delimited towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    /// There is none (HEAD, 204, 304).
    None,
    /// So many bytes.
    Length(u64),
    /// Until it ends.
    Unknown,
}

/// Head of a response on its way to the client. Fields are without hop-by-hop ones and without `transfer-encoding`.
pub(crate) struct ResponseParts<'a> {
    /// Status, 200 to 599, or 101.
    pub(crate) status: u16,
    /// Fields in order; `content-length` among them where it is known.
    pub(crate) fields: &'a [(&'a [u8], &'a [u8])],
    /// How the body is delimited.
    pub(crate) body: ResponseBody,
}

/// One request and its response on a client connection.
///
/// All methods are polled from one task. `poll_write` writes what was queued before (heads, chunk framing) together with
/// `data`, and tells how many bytes of `data` it took.
pub(crate) trait Downstream {
    /// Next piece of the request body. After `End` it must not be called again.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyFault>>;
    /// True when the request body was read to its end.
    fn body_done(&self) -> bool;
    /// Queues `100 Continue` if the client waits for it.
    fn allow_body(&mut self);
    /// From now on the body may come as slowly as the client likes, where that holds one stream and no connection.
    fn free_body(&mut self) {}
    /// Queues an interim response (1xx other than 100 and 101).
    fn interim(&mut self, status: u16, fields: &[(&[u8], &[u8])]);
    /// Queues the head of the response.
    fn start(&mut self, parts: &ResponseParts<'_>) -> io::Result<()>;
    /// Writes queued bytes and `data`.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    /// Queues the end of the body.
    fn end(&mut self, trailers: &Trailers) -> io::Result<()>;
    /// Writes all that is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// The response cannot be completed: make that visible to the client.
    fn abort(&mut self);
    /// Bytes read from and written to the client for this exchange so far.
    fn bytes(&self) -> (u64, u64);
    /// Ready when the client has left while we wait for the upstream.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
