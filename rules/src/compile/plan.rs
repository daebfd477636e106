//! What of a rule set is left to do per transaction.

use super::{Program, Step};
use crate::bits::Bits;

/// Which steps run, and the TX variables that are set without running any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Per phase: steps that do not run.
    dropped: [Bits; 5],
    /// Set when a transaction begins.
    pub(crate) initial: Vec<(u16, Vec<u8>)>,
    /// Per phase: set when it begins.
    writes: [Vec<(u16, Option<Vec<u8>>)>; 5],
    /// Per filter: the operators that a step which runs asks for as its head.
    pub(crate) live: [Bits; 2],
}

impl Plan {
    /// The plan that leaves nothing out.
    pub(super) fn everything(rules: &Program, initial: &[(u16, Vec<u8>)]) -> Self {
        let bound = |phase: usize| rules.phases.get(phase).map_or(0, |table| table.steps.len());
        Self {
            dropped: std::array::from_fn(|phase| Bits::empty(bound(phase))),
            initial: initial.to_vec(),
            writes: Default::default(),
            live: std::array::from_fn(|which| {
                Bits::all(rules.filters.get(which).map_or(0, |f| f.words() * 64))
            }),
        }
    }

    pub(super) fn drop_step(&mut self, phase: usize, step: usize) {
        if let Some(dropped) = self.dropped.get_mut(phase) {
            dropped.insert(step);
        }
    }

    pub(super) fn set_writes(&mut self, phase: usize, writes: Vec<(u16, Option<Vec<u8>>)>) {
        if let Some(slot) = self.writes.get_mut(phase) {
            *slot = writes;
        }
    }

    /// Finds the operators that are still asked for.
    pub(super) fn settle(mut self, rules: &Program) -> Self {
        let mut live: [Bits; 2] =
            std::array::from_fn(|which| Bits::empty(rules.filters.get(which).map_or(0, |f| f.words() * 64)));
        for (phase, table) in rules.phases.iter().enumerate() {
            for (at, step) in table.steps.iter().enumerate() {
                let Step::Rule(index) = step else { continue };
                let head = rules.rules.get(*index).and_then(|rule| rule.links.first());
                let filter = head.and_then(|link| link.filter);
                if let Some((which, bit)) = filter.filter(|_| !self.is_dropped(phase, at))
                    && let Some(live) = live.get_mut(which)
                {
                    live.insert(bit);
                }
            }
        }
        self.live = live;
        self
    }

    pub(crate) fn is_dropped(&self, phase: usize, step: usize) -> bool {
        self.dropped.get(phase).is_some_and(|bits| bits.contains(step))
    }

    /// Takes the steps that do not run out of a set.
    pub(crate) fn keep(&self, phase: usize, steps: &mut Bits) {
        if let Some(dropped) = self.dropped.get(phase) {
            steps.subtract(dropped);
        }
    }

    pub(crate) fn writes(&self, phase: usize) -> &[(u16, Option<Vec<u8>>)] {
        self.writes.get(phase).map(Vec::as_slice).unwrap_or_default()
    }
}
