//! What requests tell of an endpoint, shared by all of them; the rules are in `weir_decide::outlier`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_decide::outlier::{Outlier, Standing};

use crate::clock;

/// The record of one endpoint. It outlives configuration swaps.
pub(crate) struct Watch {
    /// Nothing needs to be asked or told while it is true, so a sound endpoint costs requests one load.
    settled: AtomicBool,
    inner: Mutex<Outlier>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            settled: AtomicBool::new(true),
            inner: Mutex::default(),
        }
    }
}

impl Watch {
    /// Looks at the record, or adds to it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Outlier, u64) -> T) -> T {
        let now_ns = clock::recent_ns();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut inner, now_ns);
        self.settled.store(inner.is_settled(), Ordering::Release);
        result
    }

    /// In the choice, trusted, and no connection under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// How good a choice the endpoint is.
    pub(crate) fn standing(&self) -> Standing {
        if self.is_settled() {
            return Standing::In;
        }
        self.with(|record, now_ns| record.standing(now_ns))
    }

    /// Whether its last answers were good.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_settled() || self.with(|record, _| record.is_trusted())
    }

    /// Whether failed requests have taken it out of the choice.
    pub(crate) fn is_ejected(&self) -> bool {
        !self.is_settled() && self.with(|record, _| record.ejected().is_some())
    }

    /// It answered well.
    pub(crate) fn answered_well(&self) {
        if !self.is_settled() {
            self.with(|record, now_ns| record.good_answer(now_ns));
        }
    }

    /// Counts a connection as under way until the guard ends.
    pub(crate) fn connecting(self: &Arc<Self>) -> Connecting {
        self.with(Outlier::connecting);
        Connecting {
            watch: Arc::clone(self),
            since: clock::now(),
            took: None,
        }
    }
}

/// A connection that is under way.
pub(crate) struct Connecting {
    watch: Arc<Watch>,
    since: Instant,
    took: Option<Duration>,
}

impl Connecting {
    /// It came about.
    pub(crate) fn succeeded(mut self) {
        self.took = Some(clock::now().saturating_duration_since(self.since));
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let took = self.took;
        self.watch
            .with(|record, now_ns| record.connect_ended(now_ns, took));
    }
}
