//! Read buffers, lent to a connection only while bytes are in them.
//!
//! An idle connection holds none: that is what keeps it under 8 KiB. Each worker keeps a few for reuse.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Bytes of a fresh buffer.
const BUFFER_BYTES: usize = 16 * 1024;
/// Buffers that a worker keeps.
const KEPT_MAX: usize = 128;

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

fn take() -> BytesMut {
    KEPT.with(|kept| kept.borrow_mut().pop())
        .unwrap_or_else(|| BytesMut::with_capacity(BUFFER_BYTES))
}

/// Gives a buffer's memory back if it is whole; `buffer` holds none afterwards.
pub(crate) fn release(buffer: &mut BytesMut) {
    let mut buffer = std::mem::take(buffer);
    buffer.clear();
    if buffer.capacity() < BUFFER_BYTES || buffer.capacity() > 2 * BUFFER_BYTES {
        return;
    }
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}

/// Reads once and appends to `buffer`, which gets memory only when there are bytes to read.
///
/// # Errors
/// Those of the stream.
pub(crate) fn poll_fill<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    buffer: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    if buffer.capacity() == 0 {
        *buffer = take();
    } else if buffer.capacity() - buffer.len() < BUFFER_BYTES / 4 {
        buffer.reserve(BUFFER_BYTES);
    }
    match poll_read_buf(Pin::new(stream), cx, buffer) {
        Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
        other => {
            if buffer.is_empty() {
                release(buffer);
            }
            other
        }
    }
}
