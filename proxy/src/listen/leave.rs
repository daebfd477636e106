//! How open connections learn that the process leaves, and how long an idle one may still ask.
//!
//! A client that sends a request on an idle connection at the moment we close it sees the request fail. So an idle
//! connection is not closed at once: its next request is answered with `connection: close`, and only one that stays silent
//! for the whole grace time is closed.

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

/// The process leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// Since when.
    pub(crate) since: Instant,
    /// How long an idle connection may still send a request.
    pub(crate) idle_grace: Duration,
}

/// What a connection watches: `None` while the process stays.
pub(crate) type Leave = watch::Receiver<Option<Leaving>>;

/// Whether the process leaves.
pub(crate) fn is_leaving(leave: &Leave) -> bool {
    leave.borrow().is_some()
}

/// Ends when the process begins to leave.
pub(crate) async fn begins(leave: &mut Leave) {
    // A sender that is gone means that the process ends.
    let _ = leave.wait_for(Option::is_some).await;
}

/// Ends when an idle connection that began at `connected` is to be closed. One that was accepted just before the listeners
/// closed has the grace time from its own beginning.
pub(crate) async fn idle_ends(mut leave: Leave, connected: Instant) {
    let leaving = leave.wait_for(Option::is_some).await.map(|leaving| *leaving);
    if let Ok(Some(leaving)) = leaving {
        sleep_until(leaving.since.max(connected) + leaving.idle_grace).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_the_grace_time_and_a_fresh_one_has_its_own() {
        let (sender, leave) = watch::channel(None);
        let began = Instant::now();
        let grace = Duration::from_secs(2);
        sender.send_replace(Some(Leaving {
            since: began + Duration::from_secs(1),
            idle_grace: grace,
        }));
        idle_ends(leave.clone(), began).await;
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        let fresh = Instant::now();
        idle_ends(leave, fresh).await;
        assert_eq!(fresh.elapsed(), grace);
    }
}
