//! The rules of one phase, in file order.

use std::sync::Arc;

use super::items::{Item, Sieve, selects};
use super::store::Id;
use super::{Decision, Transaction, Verdict, View};
use crate::bits::Bits;
use crate::compile::{BASE, Disruptive, EngineMode, Link, PhaseTable, Rule, Step, Target};
use crate::operators::{Captures, Operator};

impl Transaction {
    /// Runs a phase (0 to 4) unless the transaction is over; phase 5 always runs.
    pub(super) fn run(&mut self, phase: usize) -> Verdict {
        let logging = phase == 4;
        if let Some(verdict) = self.ended.clone().filter(|_| !logging) {
            return verdict;
        }
        if self.mode == EngineMode::Off || (!logging && phase < self.allowed_until) {
            return Verdict::Continue;
        }
        let rules = Arc::clone(&self.rules);
        let mut verdict = Verdict::Continue;
        for (which, program) in rules.programs.iter().enumerate() {
            let Some(program) = program else { continue };
            let view = View {
                set: &rules,
                program,
                which,
            };
            if let Err(end) = self.steps(view, phase) {
                verdict = end;
                break;
            }
        }
        if self.exceeded && !logging && verdict == Verdict::Continue {
            self.decided(0, phase);
        }
        if self.exceeded && self.mode == EngineMode::On && verdict == Verdict::Continue && !logging {
            let verdict = Verdict::Deny {
                status: 503,
                rule: 0,
                phase: phase_number(phase),
            };
            self.ended = Some(verdict.clone());
            return verdict;
        }
        verdict
    }

    /// Runs the rules of one program. An error is the verdict with which the phase is over.
    fn steps(&mut self, rules: View<'_>, phase: usize) -> Result<(), Verdict> {
        let Some(table) = rules.program.phases.get(phase) else {
            return Ok(());
        };
        let mut active = std::mem::take(&mut self.buffers.active);
        self.present = if self.plain { !0 } else { self.store.present() };
        if self.plain {
            active = Bits::all(table.steps.len());
        } else {
            let writes = rules.set.plan.writes(phase).iter();
            for (slot, value) in writes.filter(|_| rules.which == BASE) {
                let id = value.as_ref().map(|value| self.store.add(value));
                self.store.tx_set_slot(*slot, id);
            }
            self.active(rules, table, phase, &mut active);
        }
        let end = self.active_steps(rules, table, phase, &active);
        self.buffers.active = active;
        end
    }

    /// Runs those of a phase's rules that are in a set of its steps.
    fn active_steps(
        &mut self,
        rules: View<'_>,
        table: &PhaseTable,
        phase: usize,
        active: &Bits,
    ) -> Result<(), Verdict> {
        let is_base = rules.which == BASE;
        let mut at = 0;
        if self.store.budget == 0 {
            self.exceeded = true;
            return Err(Verdict::Continue);
        }
        while let Some(next) = active.next(at) {
            at = next + 1;
            let Some(Step::Rule(index)) = table.steps.get(next).copied() else {
                continue;
            };
            let Some(rule) = rules.program.rules.get(index) else {
                continue;
            };
            let switched_off = self
                .removed
                .get(rules.which)
                .is_some_and(|off| off.contains(index));
            if switched_off || (is_base && rules.set.removed.contains(index)) {
                continue;
            }
            if self.store.budget == 0 {
                self.exceeded = true;
                return Err(Verdict::Continue);
            }
            self.running = index;
            if !self.chain(rules, rule, index) {
                continue;
            }
            if let Some(severity) = rule.severity {
                self.highest_severity = self.highest_severity.min(severity);
            }
            if rule.log || rule.audit {
                self.record(rules, rule);
            }
            self.decide(rule, phase)?;
            if let Some(jump) = rule.jump {
                at = at.max(jump);
            }
            at = skip(&table.steps, at, rule.skip);
        }
        Ok(())
    }

    /// Notes the first refusal of the transaction, also one that is not acted on.
    fn decided(&mut self, rule: u64, phase: usize) {
        self.decision.get_or_insert_with(|| Decision {
            enforced: self.mode == EngineMode::On,
            rule,
            phase: phase_number(phase),
        });
    }

    /// What a matching rule says about the rest of the phase.
    fn decide(&mut self, rule: &Rule, phase: usize) -> Result<(), Verdict> {
        if self.mode == EngineMode::Off {
            return Err(Verdict::Continue);
        }
        if rule.disruptive == Disruptive::Deny && phase != 4 {
            self.decided(rule.id, phase);
        }
        match rule.disruptive {
            Disruptive::AllowPhase => Err(Verdict::Continue),
            Disruptive::AllowRequest => {
                self.allowed_until = self.allowed_until.max(2);
                Err(Verdict::Continue)
            }
            Disruptive::AllowAll => {
                self.allowed_until = 4;
                Err(Verdict::Continue)
            }
            Disruptive::Deny if self.mode == EngineMode::On && phase != 4 => {
                let verdict = Verdict::Deny {
                    status: rule.status,
                    rule: rule.id,
                    phase: phase_number(phase),
                };
                self.ended = Some(verdict.clone());
                Err(verdict)
            }
            Disruptive::Pass | Disruptive::Deny => Ok(()),
        }
    }

    fn chain(&mut self, rules: View<'_>, rule: &Rule, index: usize) -> bool {
        let Some(clock) = self.rule_clock else {
            return self.links(rules, rule, index);
        };
        let start = clock();
        let matched = self.links(rules, rule, index);
        self.rule_ns.push((rule.id, clock().saturating_sub(start)));
        matched
    }

    fn links(&mut self, rules: View<'_>, rule: &Rule, index: usize) -> bool {
        let Some((head, chained)) = rule.links.split_first() else {
            return true;
        };
        if !self.link(rules, head, index) {
            return false;
        }
        self.head_matched = self.matched;
        chained.iter().all(|link| self.link(rules, link, index))
    }

    /// Judges every value of one link; its effects run for each that matches.
    fn link(&mut self, rules: View<'_>, link: &Link, index: usize) -> bool {
        if link.targets.is_empty() {
            for effect in &link.effects {
                self.effect(rules, effect);
            }
            return true;
        }
        let mut items = std::mem::take(&mut self.buffers.items);
        items.clear();
        let sieve = self.sieve(rules, link);
        for target in &link.targets {
            if Self::is_absent(target, self.present) {
                continue;
            }
            self.collect_for(rules, target, sieve.as_ref(), &mut items);
        }
        let fixed = if rules.which == BASE {
            rules.set.excluded.as_slice()
        } else {
            &[]
        };
        if !link.exclusions.is_empty() || !self.excluded.is_empty() || !fixed.is_empty() {
            items.retain(|item| {
                let hit = |target: &Target| self.is_excluded(rules, item, target);
                let on = |set: &Bits| set.contains(index);
                let by_ctl = |set: &[Bits]| set.get(rules.which).is_some_and(on);
                !link.exclusions.iter().any(|t| hit(t))
                    && !fixed.iter().any(|(set, t)| on(set) && hit(t))
                    && !self.excluded.iter().any(|(sets, t)| by_ctl(sets) && hit(t))
            });
        }
        let matched = !items.is_empty() && self.judge_all(rules, link, &items);
        self.buffers.items = items;
        matched
    }

    /// What the values of a link pass through, where its operator is filtered.
    fn sieve(&self, rules: View<'_>, link: &Link) -> Option<Sieve> {
        let (which, operator) = link.filter.filter(|_| !self.plain && !link.negated)?;
        let chain = rules.program.chains.get(usize::from(link.chain))?.mask;
        Some(Sieve {
            which,
            operator,
            chain,
        })
    }

    fn judge_all(&mut self, rules: View<'_>, link: &Link, items: &[Item]) -> bool {
        let mut expanded = std::mem::take(&mut self.buffers.argument);
        let argument = match &link.operator {
            Operator::Number(_, text) | Operator::Text(_, text) => match text.constant() {
                Some(text) => text,
                None => {
                    expanded.clear();
                    self.expand_onto(rules, text, &mut expanded);
                    expanded.as_slice()
                }
            },
            _ => b"",
        };
        let mut hits = std::mem::take(&mut self.buffers.new_hits);
        hits.clear();
        for item in items {
            self.judge(rules, link, item, argument, &mut hits);
        }
        self.buffers.argument = expanded;
        let matched = !hits.is_empty();
        if matched {
            std::mem::swap(&mut self.buffers.hits, &mut hits);
        }
        self.buffers.new_hits = hits;
        matched
    }

    fn judge(&mut self, rules: View<'_>, link: &Link, item: &Item, argument: &[u8], hits: &mut Vec<Item>) {
        let Some(chain) = rules.program.chains.get(usize::from(link.chain)) else {
            return;
        };
        let unchanged =
            chain.mask == 0 || (!self.plain && chain.mask & self.store.triggered(item.value) == 0);
        if unchanged {
            // No step reacts to any byte of the value.
            return self.test(rules, link, item, item.value, argument, hits);
        }
        let mut value = item.value;
        if link.multi_match {
            self.test(rules, link, item, value, argument, hits);
        }
        for step in &chain.rows {
            let next = self.store.transform(value, *step, self.plain);
            if link.multi_match && next != value {
                self.test(rules, link, item, next, argument, hits);
            }
            value = next;
        }
        if !link.multi_match {
            self.test(rules, link, item, value, argument, hits);
        }
    }

    fn test(
        &mut self,
        rules: View<'_>,
        link: &Link,
        item: &Item,
        value: Id,
        argument: &[u8],
        hits: &mut Vec<Item>,
    ) {
        let may_match = self.may_match(rules, link, value);
        if !may_match && !link.negated {
            return;
        }
        let mut captures = Captures::default();
        let matched = may_match && {
            let cost = self.store.get(value).len() as u64 + 16;
            self.store.budget = self.store.budget.saturating_sub(cost);
            let bytes = self.store.get(value);
            link.operator
                .matches(bytes, argument, link.capture.then_some(&mut captures))
        };
        if may_match
            && !matched
            && let Some((which, bit)) = link.filter
            && let Some(filter) = rules.program.filters.get(which)
        {
            // The operator's argument is a constant: operators with macros in it are not filtered.
            self.store.rule_out(filter, which, value, bit);
        }
        if matched == link.negated {
            return;
        }
        if link.capture && matched {
            self.capture(value, captures);
        }
        let hit = Item { value, ..*item };
        self.matched = Some(hit);
        hits.push(hit);
        for effect in &link.effects {
            self.effect(rules, effect);
        }
    }

    /// False only where the filter has shown that the operator cannot match.
    fn may_match(&mut self, rules: View<'_>, link: &Link, value: Id) -> bool {
        let Some((which, bit)) = link.filter.filter(|_| !self.plain) else {
            return true;
        };
        if let Some(known) = self.store.known_candidate(which, value, bit) {
            return known;
        }
        let Some(filter) = rules.program.filters.get(which) else {
            return true;
        };
        if !self.store.has_bytes_for(filter, value, bit) {
            return false;
        }
        if !self.store.recurs(value) {
            return true;
        }
        let mask = self.store.mask(filter, which, value);
        mask.get(bit / 64).is_none_or(|word| word >> (bit % 64) & 1 == 1)
    }

    /// `TX.0` to `TX.9`; groups that took no part are unset.
    fn capture(&mut self, value: Id, captures: Captures) {
        let text = captures.text.map(|text| self.store.add(&text));
        for slot in 0..10_u16 {
            let group = captures.groups.get(usize::from(slot)).copied().flatten();
            let id = match (slot, text) {
                (0, Some(text)) => Some(text),
                _ => group.map(|range| self.store.add_range(value, range)),
            };
            self.store.tx_set_slot(slot, id);
        }
    }

    fn is_excluded(&self, rules: View<'_>, item: &Item, target: &Target) -> bool {
        item.var == target.var && selects(&target.selector, self.name_of(rules, item.name))
    }
}

/// The place behind the next `count` rules.
fn skip(steps: &[Step], mut at: usize, count: usize) -> usize {
    for _ in 0..count {
        let rest = steps.get(at..).unwrap_or_default();
        at += rest.iter().take_while(|s| matches!(s, Step::Marker)).count() + 1;
    }
    at
}

fn phase_number(phase: usize) -> u8 {
    u8::try_from(phase + 1).unwrap_or(5)
}
