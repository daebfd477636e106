//! Which rules of a phase have to be looked at. All others cannot match: their variables have no value, or the filter
//! has shown for every value of their targets, after their transformations, that the operator cannot match.
//!
//! Safety argument. A rule is left out only when its head cannot match, and a rule whose head does not match has no
//! effect at all. The values behind a head's targets are known when its phase begins (rules with targets that rules
//! themselves change, like TX, are always looked at; exclusions only take values away). A value is asked with every
//! transformation chain that the rules on its target use; where no byte of it triggers any step of a chain, the chain
//! answers the value itself (`transformations::triggered`). Asking for more candidates than needed is harmless, so the
//! untransformed values are asked for all rules of their target together. Where a chain has few operators, the forms it
//! makes are first asked by bytes and length (`filter::narrow`), and the whole pass is spared when that refuses them all.
//! A chain whose steps do not make a value longer is not run on one that is too short for each of its operators.

use super::items::{Item, each_entry, stored};
use super::store::Id;
use super::{Transaction, View};
use crate::bits::Bits;
use crate::compile::{BASE, PhaseTable, SourceGroup};
use crate::filter::Filter;
use crate::transformations::lengthening;

/// So many operators are asked by bytes and length before the filter looks for strings in a value.
const FEW: usize = 2;
/// The same for a value of a source that has few, if it is not short: the filter's pass over it would serve it alone.
const FEW_OF_ONE: usize = 4;
/// Values that are few, and bytes of a short one.
const VALUES_FEW: usize = 4;
const SHORT: usize = 32;

/// The operators of a source, or of a chain of it, that are asked together.
#[derive(Clone, Copy)]
struct Asked<'a> {
    operators: &'a Bits,
    /// Those of them that are live, if they are few.
    few: Option<[Option<usize>; FEW_OF_ONE]>,
    /// Whether the source has few values.
    has_few_values: bool,
}

impl<'a> Asked<'a> {
    fn new(operators: &'a Bits, live: &Bits, has_few_values: bool) -> Self {
        let few = operators.few_of(live);
        Self {
            operators,
            few,
            has_few_values,
        }
    }
}

impl Transaction {
    /// Makes `active` the set of the steps that have to be looked at.
    pub(super) fn active(&mut self, rules: View<'_>, table: &PhaseTable, phase: usize, active: &mut Bits) {
        active.become_copy_of(&table.always);
        let present = self.present | rules.program.vars_made;
        for (step, vars) in &table.conditional {
            if vars & present != 0 {
                active.insert(*step);
            }
        }
        if let (Some(filter), Some(live)) = (
            rules.program.filters.get(table.filter),
            rules.set.plan.live.get(table.filter),
        ) {
            let mut found = std::mem::take(&mut self.buffers.found);
            found.become_empty(filter.words() * 64);
            for source in &table.sources {
                if source.vars & present != 0 && source.operators.meets(live) {
                    self.ask(rules, filter, live, source, &mut found);
                }
            }
            for bit in found.iter() {
                if let Some(step) = table.step_of.get(bit) {
                    active.insert(*step);
                }
            }
            self.buffers.found = found;
        }
        if rules.which == BASE {
            rules.set.plan.keep(phase, active);
        }
    }

    /// Adds to `found` the operators that may match a value of the source.
    fn ask(&mut self, rules: View<'_>, filter: &Filter, live: &Bits, source: &SourceGroup, found: &mut Bits) {
        let which = source.filter;
        let mut ids = std::mem::take(&mut self.buffers.ids);
        ids.clear();
        self.source_values(rules, source, &mut ids);
        if ids.is_empty() {
            self.buffers.ids = ids;
            return;
        }
        let mut triggered = 0;
        self.buffers.triggers.clear();
        let has_few_values = ids.len() <= VALUES_FEW;
        let all = Asked::new(&source.operators, live, has_few_values);
        for id in &ids {
            let own = self.store.triggered(*id);
            triggered |= own;
            self.buffers.triggers.push(own);
            self.ask_form(filter, which, *id, all, found);
        }
        for (chain, multi_match, operators) in &source.chains {
            let Some(chain) = rules.program.chains.get(usize::from(*chain)) else {
                continue;
            };
            if chain.mask & triggered == 0 || !operators.meets(live) {
                continue;
            }
            let asked = Asked::new(operators, live, has_few_values);
            let lengthening = lengthening(&chain.rows);
            for (at, id) in ids.iter().enumerate() {
                let own = self.buffers.triggers.get(at).copied().unwrap_or_default();
                let length = self.store.get(*id).len();
                let is_too_short =
                    || own & lengthening == 0 && !filter.is_long_enough(length, operators, live);
                if chain.mask & own == 0 || is_too_short() {
                    continue;
                }
                let mut value = *id;
                for row in &chain.rows {
                    let next = self.store.transform(value, *row, false);
                    if *multi_match && next != value {
                        self.ask_form(filter, which, next, asked, found);
                    }
                    value = next;
                }
                if value != *id {
                    self.ask_form(filter, which, value, asked, found);
                }
            }
        }
        self.buffers.ids = ids;
    }

    /// Adds to `found` those of the asked operators that may match a value or a form of it. A few are first asked by the
    /// value's bytes and length alone. Those that are left are taken without more ado where looking for what they need
    /// would take longer than running them: on a long value, and on one of few that is not likely to come again.
    fn ask_form(&mut self, filter: &Filter, which: usize, form: Id, asked: Asked<'_>, found: &mut Bits) {
        let is_one_of_few = asked.has_few_values && !self.store.recurs(form);
        let few_max = if is_one_of_few && self.store.get(form).len() > SHORT {
            FEW_OF_ONE
        } else {
            FEW
        };
        let few = asked.few.filter(|few| few.iter().flatten().count() <= few_max);
        if let Some(few) = few.filter(|_| !self.store.has_mask(which, form)) {
            let left = few.map(|bit| bit.filter(|bit| self.store.has_bytes_for(filter, form, *bit)));
            match left.iter().flatten().count() {
                0 => return,
                1..=FEW if is_one_of_few || self.store.is_long(form) => {
                    return left.iter().flatten().for_each(|bit| found.insert(*bit));
                }
                _ => {}
            }
        }
        self.store
            .add_candidates(filter, which, form, asked.operators, found);
    }

    fn source_values(&mut self, rules: View<'_>, source: &SourceGroup, ids: &mut Vec<Id>) {
        if stored(source.target.var).0.is_empty() {
            let mut items: Vec<Item> = std::mem::take(&mut self.buffers.items);
            items.clear();
            self.collect(rules, &source.target, &mut items);
            ids.extend(items.iter().map(|item| item.value));
            self.buffers.items = items;
        } else {
            each_entry(&self.store, &source.target, |entry, names| {
                ids.push(if names { entry.name } else { entry.value });
            });
        }
    }
}
