//! The spool as whoever sends frames sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use weir_schema::telemetry::frame::Frame;

use super::spool::{Spool, Spooled, State};

/// Frames that wait to be sent, and are kept until they are acknowledged.
pub(crate) struct Queue {
    spool: Mutex<Spool>,
    /// Number of the frame that was made last.
    made: watch::Sender<u64>,
}

impl Queue {
    pub(super) fn new(spool: Spool) -> Arc<Self> {
        Arc::new(Self {
            spool: Mutex::new(spool),
            made: watch::channel(0).0,
        })
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a frame. Blocks.
    pub(super) fn append(&self, frame: Frame) {
        self.spool().append(frame);
        self.made.send_modify(|made| *made += 1);
    }

    /// How full it is.
    pub(crate) fn state(&self) -> State {
        self.spool().state()
    }

    /// All frames of an epoch up to this one have arrived where they go, and need not be kept.
    pub(crate) async fn ack(self: &Arc<Self>, epoch: u64, seq: u64) {
        let queue = Arc::clone(self);
        // Only a panic in it would make it fail; then the frames stay, and are sent again.
        let _ = tokio::task::spawn_blocking(move || queue.spool().ack(epoch, seq)).await;
    }

    /// Begins with the oldest frame that is not acknowledged. One for each connection to where frames go: what an earlier
    /// one handed out and nobody acknowledged comes again.
    pub(crate) fn outlet(self: &Arc<Self>) -> Outlet {
        Outlet {
            made: self.made.subscribe(),
            queue: Arc::clone(self),
            after: 0,
        }
    }
}

/// Hands out each frame once.
pub(crate) struct Outlet {
    queue: Arc<Queue>,
    made: watch::Receiver<u64>,
    after: u64,
}

impl Outlet {
    /// The next frames, oldest first, of at most `bytes_max` together (or a single one). Waits until there is one; dropping
    /// it while it waits loses nothing.
    pub(crate) async fn next_batch(&mut self, bytes_max: usize) -> Vec<Spooled> {
        loop {
            self.made.mark_unchanged();
            let (queue, after) = (Arc::clone(&self.queue), self.after);
            let batch = tokio::task::spawn_blocking(move || queue.spool().batch(after, bytes_max)).await;
            if let Some(batch) = batch.ok().filter(|batch| !batch.is_empty()) {
                self.after = batch.last().map_or(after, |last| last.order);
                return batch;
            }
            // The queue holds the sender for as long as this lives.
            let _ = self.made.changed().await;
        }
    }
}
