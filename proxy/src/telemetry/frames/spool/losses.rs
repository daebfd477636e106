//! Frames that will not come, until a frame has named them.

use std::collections::VecDeque;

use weir_schema::telemetry::frame::{LOST_MAX, Lost};

/// Ranges that wait. A spool that overflows makes one range that grows, so that more than these are many crashes.
const WAITING_MAX: usize = 1024;

/// Losses that no frame has named yet.
#[derive(Debug, Default)]
pub(super) struct Losses {
    waiting: VecDeque<Lost>,
    /// Frames lost since the start, as far as their number is known.
    pub(super) total: u64,
}

impl Losses {
    /// Frames that are lost from now on.
    pub(super) fn add(&mut self, lost: Lost) {
        self.total += lost.to_seq.saturating_sub(lost.from_seq).saturating_add(1);
        self.again(lost);
    }

    /// A loss that was named by a frame which is lost now itself.
    pub(super) fn again(&mut self, lost: Lost) {
        if self.waiting.iter_mut().any(|known| known.extend(&lost)) {
            return;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(lost);
    }

    /// Those that the next frame names.
    pub(super) fn next(&self) -> Vec<Lost> {
        self.waiting.iter().take(LOST_MAX).cloned().collect()
    }

    /// That frame has been written.
    pub(super) fn named(&mut self, count: usize) {
        self.waiting.drain(..count.min(self.waiting.len()));
    }
}
