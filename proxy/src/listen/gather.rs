//! Small writes that leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// Bytes that wait: a TLS record holds as many.
const BYTES_MAX: usize = 16 * 1024;

/// Bytes that wait to be written. It holds memory only while there are any.
#[derive(Default)]
pub(super) struct Gather(BytesMut);

impl Gather {
    /// Takes all of `pieces`, or nothing when they do not fit. Gives how many bytes it took.
    pub(super) fn take(&mut self, pieces: &[IoSlice<'_>]) -> Option<usize> {
        let count: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.0.len() + count > BYTES_MAX {
            return None;
        }
        if self.0.capacity() == 0 {
            self.0 = BytesMut::with_capacity(BYTES_MAX);
        }
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece));
        Some(count)
    }

    /// Writes what waits. Ready when nothing does any more.
    pub(super) fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.0.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, &self.0))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.advance(count);
        }
        self.0 = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_keeps_its_order_and_is_bounded() {
        let mut gather = Gather::default();
        assert_eq!(gather.take(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]), Some(5));
        assert_eq!(
            gather.take(&[IoSlice::new(&vec![b'x'; BYTES_MAX])]),
            None,
            "too much at once"
        );
        assert_eq!(gather.take(&[IoSlice::new(b", you")]), Some(5));
        let mut written = Vec::new();
        std::future::poll_fn(|cx| gather.poll_drain(&mut written, cx))
            .await
            .unwrap();
        assert_eq!(written, b"hello, you");
        assert_eq!(gather.0.capacity(), 0, "an idle connection holds nothing");
    }
}
