//! The body of a response before the client sees its head: held up to the tenant's limit where rules want to judge it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use weir_schema::codes::RefusalCode;

use super::body::HeldBytes;
use super::forward::{Exchange, Patience, Upload};
use super::serve::Stop;
use crate::downstream::{Downstream, Trailers};
use crate::listen::watchdog::Watchdog;
use crate::upstream::{BodyProgress, ResponseMessage};

/// A response's body, or its beginning.
#[derive(Default)]
pub(crate) struct HeldResponse {
    pub(crate) bytes: Bytes,
    /// Trailers, when the end was reached.
    pub(crate) end: Option<Trailers>,
}

/// What to hold.
pub(crate) struct HoldResponse<'a> {
    /// Bytes of this body.
    pub(crate) bytes_max: u64,
    /// All bytes that are held, and the most that may be.
    pub(crate) total: &'a HeldBytes,
    pub(crate) total_max: u64,
}

/// Whether a response may be held at all. A stream of events or messages must reach the client as it comes, and rules cannot
/// read what is compressed.
pub(crate) fn may_be_held(response: &ResponseMessage) -> bool {
    let kind = response.field(b"content-type").unwrap_or_default();
    let streams: [&[u8]; 3] = [
        b"text/event-stream",
        b"application/grpc",
        b"multipart/x-mixed-replace",
    ];
    let starts = |prefix: &[u8]| {
        kind.get(..prefix.len())
            .is_some_and(|head| weir_h1::header_eq(head, prefix))
    };
    let plain = response
        .field(b"content-encoding")
        .is_none_or(|coding| weir_h1::header_eq(coding, b"identity"));
    plain && !response.empty && !streams.iter().any(|prefix| starts(prefix))
}

/// Counts what is held while this lives.
struct Account<'a> {
    total: &'a HeldBytes,
    bytes: u64,
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.total.give_back(self.bytes);
    }
}

/// Reads the body up to the limit, while the rest of the upload goes on.
///
/// # Errors
/// The upstream's fault, that the client left, or that no more bytes may be held.
pub(crate) async fn hold_response<D: Downstream>(
    limits: &HoldResponse<'_>,
    exchange: &mut Exchange,
    upload: &mut Upload,
    down: &mut D,
    watchdog: &mut Watchdog,
    patience: Patience,
) -> Result<HeldResponse, Stop> {
    let mut account = Account {
        total: limits.total,
        bytes: 0,
    };
    let mut buffer = BytesMut::new();
    patience.renew(watchdog);
    let end = poll_fn(|cx| {
        if upload.open
            && let Poll::Ready(stop) = upload.poll(exchange, down, cx)
        {
            return Poll::Ready(Err(stop));
        }
        while (buffer.len() as u64) < limits.bytes_max {
            let data = exchange.data();
            if !data.is_empty() {
                let room = usize::try_from(limits.bytes_max).unwrap_or(usize::MAX) - buffer.len();
                let count = data.len().min(room);
                buffer.extend_from_slice(data.get(..count).unwrap_or_default());
                account.bytes += count as u64;
                if !limits.total.add(count as u64, limits.total_max) {
                    return Poll::Ready(Err(Stop::refuse(RefusalCode::InspectionBuffer)));
                }
                exchange.consume(count);
                continue;
            }
            match exchange.poll_body(cx) {
                Poll::Ready(Ok(BodyProgress::Data)) => patience.renew(watchdog),
                Poll::Ready(Ok(BodyProgress::End(trailers))) => return Poll::Ready(Ok(Some(trailers))),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Stop::Upstream(fault))),
                Poll::Pending => return poll_waiting(upload, down, watchdog, cx),
            }
        }
        Poll::Ready(Ok(None))
    })
    .await?;
    Ok(HeldResponse {
        bytes: buffer.freeze(),
        end,
    })
}

/// Nothing to read: the client may have left, or the upstream be too slow.
fn poll_waiting<D: Downstream>(
    upload: &Upload,
    down: &mut D,
    watchdog: &mut Watchdog,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Trailers>, Stop>> {
    if !upload.open && down.poll_gone(cx).is_ready() {
        return Poll::Ready(Err(Stop::Gone));
    }
    watchdog
        .poll_expired(cx)
        .map(|()| Err(Stop::Upstream(crate::upstream::UpstreamFault::Timeout)))
}
