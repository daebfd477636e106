//! `setvar`, `ctl`, macros and the log record.

use std::sync::Arc;

use super::store::Id;
use super::{RuleMatch, Transaction};
use crate::compile::{Change, Effect, Macro, Part, Rule, RuleSelector, RuleSet};
use crate::operators::integer;
use crate::variables::Var;

/// Longest value or expanded text kept in a log record, in bytes.
const LOG_VALUE_MAX: usize = 256;
const LOG_TEXT_MAX: usize = 2048;

impl Transaction {
    /// Expands a text; what is not set is empty.
    pub(super) fn expand(&self, text: &Macro) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &text.parts {
            match part {
                Part::Literal(literal) => out.extend_from_slice(literal),
                Part::Tx(slot) => {
                    if let Some(id) = self.store.tx.get(usize::from(*slot)).copied().flatten() {
                        out.extend_from_slice(self.store.get(id));
                    }
                }
                Part::Value(var, key) => {
                    if let Some(id) = self.lookup(*var, key.as_deref()) {
                        out.extend_from_slice(self.store.get(id));
                    }
                }
            }
        }
        out
    }

    fn lookup(&self, var: Var, key: Option<&[u8]>) -> Option<Id> {
        let first = |var| match key {
            Some(key) => self.store.first(var, key),
            None => self.store.list(var).first().map(|e| e.value),
        };
        match var {
            Var::MatchedVar => Some(self.store.matched),
            Var::MatchedVarName => Some(self.store.matched_name),
            Var::Args => first(Var::ArgsGet).or_else(|| first(Var::ArgsPost)),
            _ => first(var).or_else(|| self.store.scalar(var)),
        }
    }

    pub(super) fn effect(&mut self, rules: &RuleSet, effect: &Effect) {
        match effect {
            Effect::Set { name, slot, change } => self.set(rules, name, *slot, change),
            Effect::Engine(mode) => {
                // A rule cannot make an engine enforce that its operator set to detect.
                if self.mode != crate::compile::EngineMode::DetectionOnly
                    || *mode != crate::compile::EngineMode::On
                {
                    self.mode = *mode;
                }
            }
            Effect::BodyProcessor(name) => {
                self.processor = Some(name.clone());
                self.store.set(Var::ReqbodyProcessor, name.as_bytes());
            }
            Effect::ForceRequestBody(on) => self.force_body = *on,
            Effect::RemoveRules(which) => {
                let selected = selected(rules, which);
                self.removed.resize(rules.rules.len(), false);
                for (removed, selected) in self.removed.iter_mut().zip(selected) {
                    *removed |= selected;
                }
            }
            Effect::RemoveTarget(which, target) => {
                self.excluded.push((selected(rules, which), Arc::clone(target)));
            }
        }
    }

    fn set(&mut self, rules: &RuleSet, name: &Macro, slot: Option<u16>, change: &Change) {
        let name = match slot.and_then(|slot| rules.tx_names.get(usize::from(slot))) {
            Some(name) => name.clone(),
            None => self.expand(name).to_ascii_lowercase(),
        };
        let number = |text: &Macro| integer(&self.expand(text));
        let value = match change {
            Change::Unset => None,
            Change::Set(text) => Some(self.expand(text)),
            Change::Add(text) | Change::Subtract(text) => {
                let operand = number(text);
                let now = self.store.tx_number(rules, &name);
                let add = matches!(change, Change::Add(_));
                let sum = if add {
                    now.saturating_add(operand)
                } else {
                    now.saturating_sub(operand)
                };
                Some(sum.to_string().into_bytes())
            }
        };
        let id = value.map(|v| self.store.add(&v));
        self.store.tx_set(rules, &name, id);
    }

    pub(super) fn record(&mut self, rule: &Rule) {
        let text = |text: &Option<Macro>| {
            let bytes = text.as_ref().map(|t| self.expand(t)).unwrap_or_default();
            String::from_utf8_lossy(bytes.get(..LOG_TEXT_MAX).unwrap_or(&bytes)).into_owned()
        };
        let value = self.store.get(self.store.matched);
        let record = RuleMatch {
            id: rule.id,
            message: text(&rule.message),
            data: text(&rule.data),
            severity: rule.severity,
            tags: Arc::clone(&rule.tags),
            phase: u8::try_from(rule.phase + 1).unwrap_or(5),
            variable: String::from_utf8_lossy(self.store.get(self.store.matched_name)).into_owned(),
            value: String::from_utf8_lossy(value.get(..LOG_VALUE_MAX).unwrap_or(value)).into_owned(),
            file: Arc::clone(&rule.file),
            line: rule.line,
        };
        self.matches.push(record);
    }
}

fn selected(rules: &RuleSet, which: &RuleSelector) -> Vec<bool> {
    rules.rules.iter().map(|rule| which.selects(rule)).collect()
}
