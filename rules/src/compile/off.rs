//! Rules that a caller switches off for one transaction, without compiling anything.
//!
//! Safety argument. A rule that is off is one that does not match. The plan of a set ([`super::fold`]) leaves undecided
//! rules the choice whether they match, so switching one off makes nothing of it wrong. What a decided rule does is done
//! without it: it matched, logs nothing, refuses nothing and writes TX only. With such a rule off, the transaction
//! evaluates every rule in turn (`plain`), which asks no plan. A rule that was left out because it never matches, or
//! behind a gate, may be one of them by its looks; evaluating in turn costs time then, and changes nothing.

use super::{BASE, Disruptive, PROGRAMS, Rule, RuleSet, Step};
use crate::bits::Bits;

/// What of a set is off.
#[derive(Debug, Default)]
pub(crate) struct Off {
    /// Per program.
    pub(crate) rules: [Bits; PROGRAMS],
    /// Whether the plan cannot be used.
    pub(crate) plain: bool,
}

impl RuleSet {
    /// Ids of all rules, each as often as there are rules with it, in no particular order.
    pub fn rule_ids(&self) -> impl Iterator<Item = u64> + '_ {
        let programs = self.programs.iter().flatten();
        programs.flat_map(|program| program.by_id.iter().map(|(id, _)| *id))
    }

    /// Whether a rule has this id.
    #[must_use]
    pub fn has_rule(&self, id: u64) -> bool {
        let mut programs = self.programs.iter().flatten();
        programs.any(|program| with_id(&program.by_id, id).next().is_some())
    }

    /// The rules with these ids.
    pub(crate) fn off(&self, ids: &[u64]) -> Off {
        let mut off = Off::default();
        for (which, (program, bits)) in self.programs.iter().zip(&mut off.rules).enumerate() {
            let Some(program) = program else { continue };
            for (_, index) in ids.iter().flat_map(|id| with_id(&program.by_id, *id)) {
                if bits.is_empty() {
                    *bits = Bits::empty(program.rules.len());
                }
                bits.insert(*index);
                let rule = program.rules.get(*index).filter(|_| which == BASE);
                off.plain |= rule.is_some_and(|rule| self.may_be_decided(rule, *index));
            }
        }
        off
    }

    /// Whether the plan may do what a rule of the base does.
    fn may_be_decided(&self, rule: &Rule, index: usize) -> bool {
        let shows = rule.log || rule.audit || rule.disruptive != Disruptive::Pass || rule.skip > 0;
        if shows || self.removed.contains(index) {
            return false;
        }
        let base = self.programs.get(BASE).and_then(Option::as_ref);
        let steps = base.and_then(|base| base.phases.get(rule.phase));
        let steps = steps.map_or(&[][..], |table| &table.steps);
        let place = steps
            .iter()
            .position(|step| matches!(step, Step::Rule(at) if *at == index));
        place.is_some_and(|place| self.plan.is_dropped(rule.phase, place))
    }
}

fn with_id(by_id: &[(u64, usize)], id: u64) -> impl Iterator<Item = &(u64, usize)> {
    let first = by_id.partition_point(|(known, _)| *known < id);
    let from = by_id.get(first..).unwrap_or_default();
    from.iter().take_while(move |(known, _)| *known == id)
}
