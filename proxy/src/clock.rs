//! The only place of the data plane that reads time.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: OnceLock<Instant> = OnceLock::new();

/// Monotonic nanoseconds since the first call in this process.
pub(crate) fn now_ns() -> u64 {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

thread_local! {
    /// Second since the Unix epoch, and its text.
    static DATE: Cell<(u64, [u8; 29])> = Cell::new((0, weir_h1::http_date(0)));
}

/// Now, as the value of a `Date` field. Made once a second and thread.
pub(crate) fn http_date() -> [u8; 29] {
    let now = unix_ms() / 1000;
    DATE.with(|date| {
        let (second, text) = date.get();
        if second == now {
            return text;
        }
        let text = weir_h1::http_date(now);
        date.set((now, text));
        text
    })
}

/// Microseconds from `start` to now, saturating.
pub(crate) fn micros_since(start: Instant) -> u32 {
    u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX)
}
