//! The overview once a second, as `text/event-stream` (HTML Living Standard, section 9.2). Each event is whole: a reader that
//! lost its connection needs nothing from before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Channel;
use http_body_util::channel::Sender;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Dashboard;
use crate::auth::Principal;
use crate::clock;

/// Between two events.
const EVERY: Duration = Duration::from_secs(1);
/// For a reader to take something.
const STALLED: Duration = Duration::from_secs(30);

/// Begins to send to a watcher; gives the body.
pub(super) fn watch(
    dashboard: Arc<Dashboard>,
    who: Arc<Principal>,
    permit: OwnedSemaphorePermit,
) -> Channel<Bytes, Infallible> {
    let (out, body) = Channel::new(1);
    tokio::spawn(run(dashboard, who, out, permit));
    body
}

/// Until the reader goes or stalls, the token ends or control does.
async fn run(
    dashboard: Arc<Dashboard>,
    who: Arc<Principal>,
    mut out: Sender<Bytes, Infallible>,
    _permit: OwnedSemaphorePermit,
) {
    let mut ticks = interval(EVERY);
    // One that reads slowly gets fewer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now_ms = clock::unix_ms();
        if !dashboard.parts.guard.is_still_valid(&who, now_ms) {
            return;
        }
        // JSON has no line breaks of its own. What fails now may not fail the next time.
        let event = match dashboard.written(&who.scope, now_ms).await {
            Ok(text) => [b"event: overview\ndata: ".as_slice(), &text, b"\n\n"].concat(),
            Err(_) => b": not now\n\n".to_vec(),
        };
        if !matches!(timeout(STALLED, out.send_data(event.into())).await, Ok(Ok(()))) {
            return;
        }
    }
}
