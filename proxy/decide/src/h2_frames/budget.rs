//! A budget that is refilled by time and by honest work.

/// What can refill a budget: the time, and running totals of what was sent to the client. The totals may wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refill {
    /// Monotonic nanoseconds.
    pub now_ns: u64,
    /// Heads and pieces of bodies sent to the client.
    pub pieces: u32,
    /// Answers sent to the client to their end.
    pub answers: u32,
}

/// A token bucket that looks at the clock only when it is empty. For that it lets a client that was quiet for long have up
/// to twice its burst.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    burst: u32,
    per_s: u32,
    per_credit: u32,
    refilled_ns: u64,
    credits: u32,
}

impl Budget {
    pub(super) fn new(burst: u32, per_s: u32, per_credit: u32, now_ns: u64) -> Self {
        Self {
            left: burst,
            burst,
            per_s,
            per_credit,
            refilled_ns: now_ns,
            credits: 0,
        }
    }

    /// Takes one; false when there is none left. `credits` picks the total that counts here.
    pub(super) fn spend(&mut self, refill: impl Fn() -> Refill, credits: impl Fn(&Refill) -> u32) -> bool {
        if self.left == 0 {
            let refill = refill();
            let credits = credits(&refill);
            let elapsed_ns = refill.now_ns.saturating_sub(self.refilled_ns);
            let timed = elapsed_ns.saturating_mul(self.per_s.into()) / 1_000_000_000;
            let earned = u64::from(credits.wrapping_sub(self.credits)) * u64::from(self.per_credit);
            let fill = timed.saturating_add(earned).min(self.burst.into());
            self.left = u32::try_from(fill).unwrap_or(self.burst);
            self.refilled_ns = refill.now_ns;
            self.credits = credits;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}
