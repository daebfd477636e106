//! Frames that will not come, until a frame has named them.

use std::collections::BTreeMap;

use weir_schema::telemetry::frame::{LOST_MAX, Lost};

/// Ranges that wait. A spool that overflows makes a few ranges that grow, so that more than these are many crashes; then the
/// oldest go unnamed, and are only the gap that they are.
const WAITING_MAX: usize = 1024;

/// Losses that no frame has named yet.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// By epoch and first frame; those that touch are one.
    waiting: BTreeMap<(u64, u64), Lost>,
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
    pub(super) fn again(&mut self, mut lost: Lost) {
        let behind = (lost.epoch, lost.to_seq.saturating_add(1));
        if let Some(next) = self.waiting.get(&behind)
            && lost.extend(next)
        {
            self.waiting.remove(&behind);
        }
        let before = self.waiting.range_mut(..(lost.epoch, lost.from_seq)).next_back();
        if before.is_some_and(|(_, known)| known.extend(&lost)) {
            return;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_first();
        }
        self.waiting.insert((lost.epoch, lost.from_seq), lost);
    }

    /// Those that the next frame names.
    pub(super) fn next(&self) -> Vec<Lost> {
        self.waiting.values().take(LOST_MAX).cloned().collect()
    }

    /// That frame has been written, with this many.
    pub(super) fn named(&mut self, count: usize) {
        for _ in 0..count {
            self.waiting.pop_first();
        }
    }
}
