//! The thread that compiles a version gives way to the workers.
//!
//! It runs at a low priority, but the kernel lets a thread finish its slice before it wakes another one's: on a core that both
//! share, a request waited for up to 4.1 ms (Linux 6.18, 250 Hz; `perf sched`, 2026-11-25), ten times what it takes. So the
//! thread sleeps for a moment after each short piece of work, and whoever waits runs. Yielding instead would cost it its share of a
//! core that is busy all the time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock;

/// Work at a stretch.
const STRETCH: Duration = Duration::from_micros(200);
/// The sleep behind it; the kernel makes it some 100 us.
const REST: Duration = Duration::from_micros(50);

thread_local! {
    /// When the running stretch began; `None` on threads that do not give way.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From here on this thread gives way.
pub(crate) fn begin() {
    BEGAN.set(Some(clock::now()));
}

/// Called between pieces of work; sleeps if it is time to. Does nothing on other threads, such as the one that starts the
/// process.
pub(crate) fn give_way() {
    let Some(began) = BEGAN.get() else { return };
    if clock::now().saturating_duration_since(began) >= STRETCH {
        std::thread::sleep(REST);
        begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_began_sleeps_and_only_behind_a_stretch_of_work() {
        give_way();
        assert_eq!(BEGAN.get(), None);
        begin();
        let long_ago = clock::now().checked_sub(STRETCH);
        BEGAN.set(long_ago);
        give_way();
        assert!(BEGAN.get() > long_ago, "a new stretch begins behind the sleep");
        let soon = clock::now() + STRETCH;
        BEGAN.set(Some(soon));
        give_way();
        assert_eq!(BEGAN.get(), Some(soon), "it is not over");
    }
}
