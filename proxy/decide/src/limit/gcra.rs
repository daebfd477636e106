//! The generic cell rate algorithm (ITU-T I.371 annex A): a token bucket kept as one time.

use weir_schema::config::checked::Rate;

/// Nanoseconds of one tick, as a shift: 256 ns.
const TICK_SHIFT: u32 = 8;
/// Bits of a time in ticks; it wraps after 52 days.
pub(super) const TIME_BITS: u32 = 44;
/// Longest time from now to the end of a bucket, in ticks: an eighth of the range, 6.5 days.
pub(super) const HORIZON: u64 = 1 << (TIME_BITS - 3);

/// A bucket's shape, compiled.
///
/// The time per request is rounded up to ticks of 256 ns, so that never more is admitted than configured; less by at most
/// 256 ns per request (0.3 % at 10,000 requests per second), and never more than 3.9 million per second. A bucket that
/// takes longer than 6.5 days to fill is cut to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcraParams {
    /// Ticks of one request.
    pub(super) per_request: u64,
    /// Ticks of a whole burst.
    pub(super) burst: u64,
    /// `q` and `w` of the policy header.
    pub(super) quota: u64,
    pub(super) window_s: u64,
}

impl GcraParams {
    /// Compiles a rate.
    pub fn new(rate: &Rate) -> Self {
        let requests = u64::from(rate.requests.get());
        let window_ns = u64::try_from(rate.window.as_nanos()).unwrap_or(u64::MAX).max(1);
        let per_request = window_ns.div_ceil(requests << TICK_SHIFT).clamp(1, HORIZON);
        let burst = per_request
            .saturating_mul(u64::from(rate.burst.get()))
            .min(HORIZON);
        // The header counts whole seconds: a window below one is told as its multiple.
        let window_s = window_ns.div_ceil(1_000_000_000);
        let scaled = u128::from(requests) * u128::from(window_s) * 1_000_000_000 / u128::from(window_ns);
        Self {
            per_request,
            burst,
            quota: u64::try_from(scaled).unwrap_or(u64::MAX),
            window_s,
        }
    }

    /// What a bucket that is `ahead` ticks from being full says to one more request.
    pub(super) fn offer(&self, ahead: u64) -> Offer {
        let after = ahead.saturating_add(self.per_request);
        match after.checked_sub(self.burst) {
            None | Some(0) => Offer::Admit { ahead: after },
            Some(wait) => Offer::Refuse { wait },
        }
    }

    /// Requests that a bucket `ahead` ticks from being full still admits at once.
    pub(super) fn remaining(&self, ahead: u64) -> u64 {
        self.burst.saturating_sub(ahead) / self.per_request
    }
}

/// A bucket's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Take it; the bucket is then so far from being full.
    Admit { ahead: u64 },
    /// Ticks until it would be taken.
    Refuse { wait: u64 },
}

/// Monotonic nanoseconds in ticks.
pub(super) fn ticks(now_ns: u64) -> u64 {
    now_ns >> TICK_SHIFT
}

/// Ticks in seconds, rounded up.
pub(super) fn seconds(ticks: u64) -> u64 {
    let nanos = u128::from(ticks) << TICK_SHIFT;
    u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}
