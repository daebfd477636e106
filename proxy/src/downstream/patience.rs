//! How long a client may keep us waiting while we write to it.
//!
//! A client that takes nothing for the whole time is cut. One that takes a byte now and then must not start that time
//! anew with each byte, or it could hold a request for ever: what it takes only earns time at the least rate.

use std::time::Duration;

use tokio::time::Instant;

/// Time left to a client that does not read fast enough.
pub(crate) struct Patience {
    timeout: Duration,
    /// Bytes per second; 0 lets any progress count in full.
    rate_min: u32,
    credit: Duration,
    since: Option<Instant>,
}

impl Patience {
    /// Waits for `timeout` without progress, and longer only for what is taken at `rate_min` bytes per second or faster.
    pub(crate) fn new(timeout: Duration, rate_min: u32) -> Self {
        Self {
            timeout,
            rate_min,
            credit: timeout,
            since: None,
        }
    }

    /// True while a write waits for the client.
    pub(crate) fn is_tried(&self) -> bool {
        self.since.is_some()
    }

    /// A write cannot go on at `now`: when the client must be cut if that does not change.
    pub(crate) fn wait(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.credit
    }

    /// The client took `bytes` after a wait, or without one.
    pub(crate) fn progress(&mut self, bytes: usize) {
        let Some(since) = self.since.take() else { return };
        let earned = match self.rate_min {
            0 => self.timeout,
            rate => Duration::from_secs_f64(bytes as f64 / f64::from(rate)),
        };
        self.credit = (self.credit.saturating_sub(since.elapsed()) + earned).min(self.timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Seconds until a client that takes `bytes` each `every` seconds is cut; `None` when it is not within an hour.
    async fn cut_after(rate_min: u32, bytes: usize, every: u64) -> Option<u64> {
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, rate_min);
        while start.elapsed() < Duration::from_secs(3600) {
            let deadline = patience.wait(Instant::now());
            let next = Instant::now() + Duration::from_secs(every);
            if deadline < next {
                return Some((deadline - start).as_secs());
            }
            tokio::time::sleep_until(next).await;
            patience.progress(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_cut_and_one_at_the_least_rate_is_not() {
        assert_eq!(cut_after(240, 1, 60).await, Some(30));
        let drip = cut_after(240, 1, 1).await;
        assert!(drip.is_some_and(|s| (30..=31).contains(&s)), "{drip:?}");
        let half = cut_after(240, 120, 1).await;
        assert!(half.is_some_and(|s| (58..=61).contains(&s)), "{half:?}");
        assert_eq!(cut_after(240, 240, 1).await, None);
        assert_eq!(cut_after(240, 100_000, 20).await, None);
        assert_eq!(cut_after(0, 1, 20).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_waited_is_not_charged() {
        let mut patience = Patience::new(TIMEOUT, 240);
        patience.wait(Instant::now());
        patience.progress(1);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(!patience.is_tried());
        assert!(patience.wait(Instant::now()) > Instant::now() + Duration::from_secs(29));
    }
}
