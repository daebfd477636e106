//! One timer per connection that follows a moving deadline.
//!
//! A request moves its deadline several times (head, upstream, idle), nearly always to a later moment. Re-registering a
//! timer each time costs more than the reads it guards, so the timer is only moved when the deadline comes nearer than
//! what is registered; when it fires too early it is set again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// A timer that follows a moving deadline.
pub(crate) struct Watchdog {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Watchdog {
    /// A watchdog that barks after `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        Self {
            sleep: Box::pin(sleep_until(deadline)),
            deadline,
        }
    }

    /// Moves the deadline to `timeout` from now.
    pub(crate) fn set(&mut self, timeout: Duration) {
        self.set_at(clock::recent_tokio() + timeout);
    }

    /// Moves the deadline.
    pub(crate) fn set_at(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if self.sleep.deadline() > deadline || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Ready when the deadline has passed.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn expired(watchdog: &mut Watchdog) {
        std::future::poll_fn(|cx| watchdog.poll_expired(cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_deadline_outlives_the_registered_timer() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(Duration::from_secs(1));
        watchdog.set(Duration::from_secs(5));
        expired(&mut watchdog).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_is_kept() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(Duration::from_secs(60));
        watchdog.set(Duration::from_secs(2));
        expired(&mut watchdog).await;
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
