//! What each thread counts, behind a lock of its own: the thread takes it without contention, once a second the frame's maker
//! takes it away.

use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::figures::Figures;
use crate::clock::ThreadCpu;

/// One thread's figures and its CPU clock.
pub(super) struct Shard {
    figures: Mutex<Figures>,
    cpu: ThreadCpu,
    /// CPU time that was in a frame already, nanoseconds.
    cpu_told_ns: AtomicU64,
}

impl Shard {
    /// Of the calling thread. All that the thread has spent so far is in its next frame.
    fn new() -> Self {
        Self {
            figures: Mutex::default(),
            cpu: ThreadCpu::of_this_thread(),
            cpu_told_ns: AtomicU64::new(0),
        }
    }

    /// Takes what was counted, and the CPU time that the thread has spent since the last time, nanoseconds.
    pub(super) fn take(&self) -> (Figures, u64) {
        let figures = mem::take(&mut *self.figures.lock().unwrap_or_else(PoisonError::into_inner));
        let told = self.cpu_told_ns.load(Ordering::Relaxed);
        // A thread that has ended is not read any more.
        let now = self.cpu.spent_ns().unwrap_or(told).max(told);
        self.cpu_told_ns.store(now, Ordering::Relaxed);
        (figures, now - told)
    }
}

/// The shards of all threads that count: the workers.
pub(super) struct Shards {
    /// Tells these from others that the thread may have counted for.
    id: u64,
    all: Mutex<Vec<Arc<Shard>>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's shard, and whose.
    static OWN: RefCell<Option<(u64, Arc<Shard>)>> = const { RefCell::new(None) };
}

impl Shards {
    pub(super) fn new() -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            all: Mutex::default(),
        }
    }

    /// Changes the figures of this thread.
    pub(super) fn with(&self, change: impl FnOnce(&mut Figures)) {
        // The thread may be ending, and then has no shard any more: its last polls are not counted.
        let _ = OWN.try_with(|own| {
            let mut own = own.borrow_mut();
            if own.as_ref().is_none_or(|(id, _)| *id != self.id) {
                *own = Some((self.id, self.add()));
            }
            if let Some((_, shard)) = own.as_ref() {
                change(&mut shard.figures.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
    }

    fn add(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::new());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&shard));
        shard
    }

    /// All shards so far.
    pub(super) fn all(&self) -> Vec<Arc<Shard>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
