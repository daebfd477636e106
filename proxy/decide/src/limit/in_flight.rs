//! Requests in flight of one tenant.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts requests in flight.
#[derive(Debug, Default)]
pub struct InFlight(AtomicU32);

/// A request's place; given back when dropped.
#[derive(Debug)]
pub struct InFlightPermit(Arc<InFlight>);

impl InFlight {
    /// Takes a place; `None` when `max` are taken.
    pub fn enter(self: &Arc<Self>, max: Option<NonZeroU32>) -> Option<InFlightPermit> {
        let now = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let permit = InFlightPermit(Arc::clone(self));
        max.is_none_or(|max| now <= max.get()).then_some(permit)
    }

    /// Places taken.
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_tenant_lets_nobody_in_until_one_leaves() {
        let in_flight = Arc::new(InFlight::default());
        let two = NonZeroU32::new(2);
        let first = in_flight.enter(two).unwrap();
        let second = in_flight.enter(two).unwrap();
        assert!(in_flight.enter(two).is_none());
        assert_eq!(in_flight.now(), 2);
        drop((first, second));
        assert!(in_flight.enter(two).is_some() && in_flight.now() == 0);
        assert!(in_flight.enter(None).is_some());
    }
}
