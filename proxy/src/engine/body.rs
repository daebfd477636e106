//! The request body before any upstream is chosen: held up to the tenant's limit, so that it can be judged and replayed.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use weir_schema::codes::RefusalCode;

use super::serve::Stop;
use crate::downstream::{BodyFault, Chunk, Downstream, Trailers};

/// Bodies up to this size are held even when nobody judges them, so that a retry can replay them.
pub(crate) const REPLAY_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of request bodies that are held now, all requests.
#[derive(Default)]
pub(crate) struct HeldBytes(AtomicU64);

impl HeldBytes {
    /// Counts more bytes as held; false when all together are then more than `max`.
    pub(super) fn add(&self, count: u64, max: u64) -> bool {
        self.0.fetch_add(count, Ordering::Relaxed) + count <= max
    }

    /// Counts bytes as held no more.
    pub(super) fn give_back(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body, or its beginning.
pub(crate) struct HeldBody<'a> {
    pub(crate) bytes: Bytes,
    /// Trailers, when the end was reached.
    pub(crate) end: Option<Trailers>,
    accounted: u64,
    total: &'a HeldBytes,
}

impl Drop for HeldBody<'_> {
    fn drop(&mut self) {
        self.total.give_back(self.accounted);
    }
}

/// What to hold.
pub(crate) struct HoldLimits {
    /// Bytes to hold of this body.
    pub(crate) hold_max: u64,
    /// Refuse a body above `hold_max` instead of streaming the rest.
    pub(crate) refuse_over: bool,
    /// Bytes to hold of all bodies.
    pub(crate) total_max: u64,
}

/// Reads the body up to the limit; `look` sees each part of it as it comes.
///
/// # Errors
/// A refusal, or that the client left.
pub(crate) async fn hold<'a, D: Downstream>(
    down: &mut D,
    limits: &HoldLimits,
    total: &'a HeldBytes,
    mut look: impl FnMut(&[u8]),
) -> Result<HeldBody<'a>, Stop> {
    let mut buffer = BytesMut::new();
    let mut held = HeldBody {
        bytes: Bytes::new(),
        end: None,
        accounted: 0,
        total,
    };
    down.allow_body();
    while held.end.is_none() && (buffer.len() as u64) <= limits.hold_max {
        match poll_fn(|cx| down.poll_body(cx)).await {
            Ok(Chunk::Data(data)) => {
                let count = data.len() as u64;
                held.accounted += count;
                if !total.add(count, limits.total_max) {
                    return Err(Stop::refuse(RefusalCode::InspectionBuffer));
                }
                look(&data);
                buffer.extend_from_slice(&data);
            }
            Ok(Chunk::End(trailers)) => held.end = Some(trailers),
            Err(fault) => return Err(stop_of(fault)),
        }
    }
    if limits.refuse_over && buffer.len() as u64 > limits.hold_max {
        return Err(Stop::refuse(RefusalCode::BodyTooLarge));
    }
    held.bytes = buffer.freeze();
    Ok(held)
}

/// What a body that cannot be read means for the exchange.
pub(crate) fn stop_of(fault: BodyFault) -> Stop {
    match fault {
        BodyFault::Gone => Stop::Gone,
        BodyFault::Malformed => Stop::refuse(RefusalCode::MalformedRequest),
        BodyFault::TimedOut => Stop::refuse(RefusalCode::BodyTimeout),
    }
}
