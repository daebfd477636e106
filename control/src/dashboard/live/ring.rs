//! Figures by slots of time: the newest few, older ones go.

use std::collections::VecDeque;

/// Slots in ascending order; those without figures take no room.
#[derive(Debug, Default)]
pub(super) struct Ring<T>(VecDeque<(u64, T)>);

impl<T: Default> Ring<T> {
    /// The figures of a slot, of which the newest `kept` are kept; `None` when the slot is older than those.
    pub(super) fn at(&mut self, slot: u64, kept: u64) -> Option<&mut T> {
        let newest = self.newest().unwrap_or(0).max(slot);
        let oldest = (newest + 1).saturating_sub(kept);
        while self.0.front().is_some_and(|(known, _)| *known < oldest) {
            self.0.pop_front();
        }
        if slot < oldest {
            return None;
        }
        let place = self.0.partition_point(|(known, _)| *known < slot);
        if self.0.get(place).is_none_or(|(known, _)| *known != slot) {
            self.0.insert(place, (slot, T::default()));
        }
        self.0.get_mut(place).map(|(_, figures)| figures)
    }

    /// Slots from `from` on.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &T)> {
        let slots = self.0.iter().skip_while(move |(slot, _)| *slot < from);
        slots.map(|(slot, figures)| (*slot, figures))
    }

    /// The newest slot.
    pub(super) fn newest(&self) -> Option<u64> {
        self.0.back().map(|(slot, _)| *slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_slots_are_kept_in_order_whatever_order_they_come_in() {
        let mut ring = Ring::<u64>::default();
        for slot in [10, 12, 11, 9, 12] {
            *ring.at(slot, 3).unwrap_or(&mut 0) += 1;
        }
        assert_eq!(ring.since(0).collect::<Vec<_>>(), [(10, &1), (11, &1), (12, &2)]);
        assert_eq!(ring.since(12).count(), 1);
        *ring.at(1000, 3).unwrap() = 5;
        assert_eq!(ring.since(0).collect::<Vec<_>>(), [(1000, &5)]);
        assert!(ring.at(997, 3).is_none());
    }
}
