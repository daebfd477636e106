//! The rules of one phase, in file order.

use std::sync::Arc;

use super::store::Id;
use super::{Transaction, Verdict};
use crate::compile::{Disruptive, EngineMode, Link, Macro, Rule, RuleSet, Selector, Step, Target};
use crate::operators::Operator;
use crate::variables::Var;

/// A value to judge and where it is from.
#[derive(Debug, Clone, Copy)]
struct Item {
    var: Var,
    key: Option<Id>,
    value: Id,
}

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
        let verdict = self.steps(&rules, phase);
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

    fn steps(&mut self, rules: &RuleSet, phase: usize) -> Verdict {
        let Some(steps) = rules.phases.get(phase) else {
            return Verdict::Continue;
        };
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            let Step::Rule(index) = *step else { continue };
            let Some(rule) = rules.rules.get(index) else {
                continue;
            };
            if self.removed.get(index).copied().unwrap_or(false) {
                continue;
            }
            if self.budget == 0 {
                self.exceeded = true;
                return Verdict::Continue;
            }
            if !self.chain(rules, rule, index) {
                continue;
            }
            if rule.log {
                self.record(rule);
            }
            if self.mode == EngineMode::Off {
                return Verdict::Continue;
            }
            match rule.disruptive {
                Disruptive::Pass => {}
                Disruptive::AllowPhase => return Verdict::Continue,
                Disruptive::AllowRequest => {
                    self.allowed_until = self.allowed_until.max(2);
                    return Verdict::Continue;
                }
                Disruptive::AllowAll => {
                    self.allowed_until = 4;
                    return Verdict::Continue;
                }
                Disruptive::Deny if self.mode == EngineMode::On && phase != 4 => {
                    let verdict = Verdict::Deny {
                        status: rule.status,
                        rule: rule.id,
                        phase: phase_number(phase),
                    };
                    self.ended = Some(verdict.clone());
                    return verdict;
                }
                Disruptive::Deny => {}
            }
            if let Some(jump) = rule.jump {
                at = at.max(jump);
            }
            for _ in 0..rule.skip {
                at += steps
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|s| matches!(s, Step::Marker))
                    .count()
                    + 1;
            }
        }
        Verdict::Continue
    }

    fn chain(&mut self, rules: &RuleSet, rule: &Rule, index: usize) -> bool {
        let mut items = Vec::new();
        for link in &rule.links {
            items.clear();
            if !self.link(rules, link, index, &mut items) {
                return false;
            }
        }
        true
    }

    /// Judges every value of one link; its effects run for each that matches.
    fn link(&mut self, rules: &RuleSet, link: &Link, index: usize, items: &mut Vec<Item>) -> bool {
        if link.targets.is_empty() {
            for effect in &link.effects {
                self.effect(rules, effect);
            }
            return true;
        }
        for target in &link.targets {
            self.collect(rules, target, items);
        }
        if !link.exclusions.is_empty() || !self.excluded.is_empty() {
            items.retain(|item| {
                let hit = |target: &Target| self.is_excluded(item, target);
                !link.exclusions.iter().any(|t| hit(t))
                    && !self
                        .excluded
                        .iter()
                        .any(|(on, t)| on.get(index) == Some(&true) && hit(t))
            });
        }
        let argument = match &link.operator {
            _ if items.is_empty() => return false,
            Operator::Number(_, text) | Operator::Text(_, text) => self.argument(text),
            _ => Vec::new(),
        };
        let mut hits = Vec::new();
        for item in items.iter() {
            self.judge(rules, link, item, &argument, &mut hits);
        }
        if hits.is_empty() {
            return false;
        }
        if let Some(list) = self.store.collections.get_mut(Var::MatchedVars as usize) {
            *list = hits;
        }
        true
    }

    fn argument(&self, text: &Macro) -> Vec<u8> {
        text.constant().map_or_else(|| self.expand(text), <[u8]>::to_vec)
    }

    fn judge(
        &mut self,
        rules: &RuleSet,
        link: &Link,
        item: &Item,
        argument: &[u8],
        hits: &mut Vec<super::store::Entry>,
    ) {
        let steps = rules
            .chains
            .get(usize::from(link.chain))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut value = item.value;
        if link.multi_match {
            self.test(rules, link, item, value, argument, hits);
        }
        for step in steps {
            let next = self.store.transform(value, *step, &mut self.budget);
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
        rules: &RuleSet,
        link: &Link,
        item: &Item,
        value: Id,
        argument: &[u8],
        hits: &mut Vec<super::store::Entry>,
    ) {
        let mut captures = Vec::new();
        let bytes = self.store.get(value);
        self.budget = self.budget.saturating_sub(bytes.len() as u64 + 16);
        let matched = link
            .operator
            .matches(bytes, argument, link.capture.then_some(&mut captures));
        if matched == link.negated {
            return;
        }
        if link.capture && matched {
            for group in 0..10_usize {
                let id = captures.get(group).map(|text| self.store.add(text));
                self.store.tx_set(rules, group.to_string().as_bytes(), id);
            }
        }
        let mut name = item.var.name().as_bytes().to_vec();
        if let Some(key) = item.key {
            name.push(b':');
            name.extend_from_slice(self.store.get(key));
        }
        self.store.matched_name = self.store.add(&name);
        self.store.matched = value;
        hits.push(super::store::Entry {
            name: self.store.matched_name,
            value,
        });
        for effect in &link.effects {
            self.effect(rules, effect);
        }
    }

    fn is_excluded(&self, item: &Item, target: &Target) -> bool {
        if item.var != target.var {
            return false;
        }
        let key = item.key.map(|key| self.store.get(key)).unwrap_or_default();
        selects(&target.selector, key)
    }

    /// Adds the values of a target to `items`, or their count.
    fn collect(&mut self, rules: &RuleSet, target: &Target, items: &mut Vec<Item>) {
        let before = items.len();
        self.values(rules, target, items);
        if target.count {
            let count = items.len() - before;
            items.truncate(before);
            let value = self.store.add(count.to_string().as_bytes());
            items.push(Item {
                var: target.var,
                key: None,
                value,
            });
        }
    }

    fn values(&mut self, rules: &RuleSet, target: &Target, items: &mut Vec<Item>) {
        let store = &mut self.store;
        let mut from = |store: &super::store::Store, source: Var, names: bool| {
            for entry in store
                .list(source)
                .iter()
                .filter(|e| selects(&target.selector, store.get(e.name)))
            {
                let value = if names { entry.name } else { entry.value };
                items.push(Item {
                    var: target.var,
                    key: Some(entry.name),
                    value,
                });
            }
        };
        match target.var {
            Var::Args => [Var::ArgsGet, Var::ArgsPost]
                .iter()
                .for_each(|v| from(store, *v, false)),
            Var::ArgsNames => [Var::ArgsGet, Var::ArgsPost]
                .iter()
                .for_each(|v| from(store, *v, true)),
            Var::ArgsGetNames => from(store, Var::ArgsGet, true),
            Var::ArgsPostNames => from(store, Var::ArgsPost, true),
            Var::MatchedVarsNames => from(store, Var::MatchedVars, true),
            Var::RequestHeadersNames => from(store, Var::RequestHeaders, true),
            Var::RequestCookiesNames => from(store, Var::RequestCookies, true),
            Var::ResponseHeadersNames => from(store, Var::ResponseHeaders, true),
            Var::ArgsCombinedSize => {
                let all = store.list(Var::ArgsGet).iter().chain(store.list(Var::ArgsPost));
                let size: usize = all
                    .map(|e| store.get(e.name).len() + store.get(e.value).len())
                    .sum();
                let value = store.add(size.to_string().as_bytes());
                items.push(Item {
                    var: target.var,
                    key: None,
                    value,
                });
            }
            Var::MatchedVar => items.push(Item {
                var: target.var,
                key: None,
                value: store.matched,
            }),
            Var::MatchedVarName => items.push(Item {
                var: target.var,
                key: None,
                value: store.matched_name,
            }),
            Var::Tx => self.tx_values(rules, target, items),
            var if (var as usize) < crate::variables::COLLECTIONS => from(store, var, false),
            var => {
                if let Some(value) = store.scalar(var) {
                    items.push(Item {
                        var,
                        key: None,
                        value,
                    });
                }
            }
        }
    }

    fn tx_values(&mut self, rules: &RuleSet, target: &Target, items: &mut Vec<Item>) {
        if let Some(slot) = target.slot {
            if let Some(value) = self.store.tx.get(usize::from(slot)).copied().flatten() {
                let name = rules
                    .tx_names
                    .get(usize::from(slot))
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let key = Some(self.store.add(name));
                items.push(Item {
                    var: Var::Tx,
                    key,
                    value,
                });
            }
            return;
        }
        for (slot, name) in rules
            .tx_names
            .iter()
            .enumerate()
            .filter(|(_, n)| selects(&target.selector, n))
        {
            if let Some(value) = self.store.tx.get(slot).copied().flatten() {
                let key = Some(self.store.add(name));
                items.push(Item {
                    var: Var::Tx,
                    key,
                    value,
                });
            }
        }
        let others = self
            .store
            .tx_other
            .iter()
            .filter(|e| selects(&target.selector, self.store.get(e.name)));
        items.extend(others.map(|e| Item {
            var: Var::Tx,
            key: Some(e.name),
            value: e.value,
        }));
    }
}

fn phase_number(phase: usize) -> u8 {
    u8::try_from(phase + 1).unwrap_or(5)
}

fn selects(selector: &Selector, name: &[u8]) -> bool {
    match selector {
        Selector::All => true,
        Selector::Key(key) => name.eq_ignore_ascii_case(key),
        Selector::Regex(regex) => regex.is_match(name),
    }
}
