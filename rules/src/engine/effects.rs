//! `setvar`, `ctl`, macros and the log record.

use std::sync::Arc;

use super::items::{Item, stored};
use super::store::Id;
use super::{HITS_MAX, Hit, RuleMatch, Transaction, View};
use crate::compile::{Change, Effect, Macro, Part, Rule};
use crate::operators::integer;
use crate::transformations::TABLE;
use crate::variables::Var;

/// Longest value or expanded text kept in a log record, in bytes.
const LOG_VALUE_MAX: usize = 256;
const LOG_TEXT_MAX: usize = 2048;
/// Room for most expanded texts, and for the matches of a request that has any.
const LOG_TEXT_USUAL: usize = 160;
const MATCHES_USUAL: usize = 16;
/// Most hits of one match beside the last.
const HITS_OF_RULE_MAX: usize = 16;

impl Transaction {
    /// Expands a text; what is not set is empty.
    pub(super) fn expand(&mut self, rules: View<'_>, text: &Macro) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.expand_onto(rules, text, &mut out);
        out
    }

    /// Appends the expansion of a text.
    pub(super) fn expand_onto(&mut self, rules: View<'_>, text: &Macro, out: &mut Vec<u8>) {
        for part in &text.parts {
            match part {
                Part::Literal(literal) => out.extend_from_slice(literal),
                Part::Tx(slot) => {
                    if let Some(id) = self.store.tx_slot(*slot) {
                        out.extend_from_slice(self.store.get(id));
                    }
                }
                Part::Value(Var::Rule, Some(key)) => {
                    out.extend(self.rule_field(rules, key).unwrap_or_default())
                }
                Part::Value(Var::MatchedVarName, _) => {
                    if let Some(item) = self.matched {
                        self.full_name_onto(rules, &item, out);
                    }
                }
                Part::Value(var, key) => {
                    if let Some(id) = self.lookup(*var, key.as_deref()) {
                        out.extend_from_slice(self.store.get(id));
                    }
                }
            }
        }
    }

    fn lookup(&mut self, var: Var, key: Option<&[u8]>) -> Option<Id> {
        if var == Var::MatchedVar {
            return self.matched.map(|item| item.value);
        }
        if var.persistent().is_some() {
            return self.remembered(var, key?);
        }
        let (sources, names) = stored(var);
        for source in sources {
            let first = match key {
                Some(key) => self.store.first(*source, key),
                None => self
                    .store
                    .list(*source)
                    .first()
                    .map(|e| if names { e.name } else { e.value }),
            };
            if first.is_some() {
                return first;
            }
        }
        self.scalar(var)
    }

    pub(super) fn effect(&mut self, rules: View<'_>, effect: &Effect) {
        match effect {
            Effect::Set {
                name,
                slot,
                may_be_slot,
                change,
            } => self.set(rules, name, *slot, *may_be_slot, change),
            Effect::Engine(mode) => {
                // A rule cannot make an engine enforce that its operator set to detect.
                if self.mode != crate::compile::EngineMode::DetectionOnly
                    || *mode != crate::compile::EngineMode::On
                {
                    self.mode = *mode;
                }
            }
            Effect::Audit(audit) => self.audit = *audit,
            Effect::BodyProcessor(name) => {
                self.processor = Some(name.clone());
                self.store.set(Var::ReqbodyProcessor, name.as_bytes());
            }
            Effect::XmlArgs(args) => self.xml_args = *args,
            Effect::ForceRequestBody(on) => self.force_body = *on,
            Effect::RequestBodyAccess(on) => self.body_access = *on,
            Effect::ResponseBodyAccess(on) => {
                self.response_access = *on;
                self.response_inspected &= *on;
            }
            Effect::RemoveRules(which) => {
                if let Some(selected) = rules.program.selections.get(*which) {
                    for (removed, selected) in self.removed.iter_mut().zip(selected) {
                        removed.absorb(selected);
                    }
                }
            }
            Effect::RemoveTarget(which, target) => {
                if let Some(selected) = rules.program.selections.get(*which) {
                    self.excluded.push((selected.clone(), Arc::clone(target)));
                }
            }
            Effect::Open(var, text) => {
                let key = self.expand(rules, text);
                self.open(*var, &key);
            }
            Effect::Keep(..) | Effect::Expire(..) | Effect::Decay(..) => self.keep(rules, effect),
        }
    }

    fn set(&mut self, rules: View<'_>, name: &Macro, slot: Option<u16>, may_be_slot: bool, change: &Change) {
        let mut made = std::mem::take(&mut self.buffers.name);
        made.clear();
        let mut slot = slot;
        if slot.is_none() {
            self.expand_onto(rules, name, &mut made);
            made.make_ascii_lowercase();
            if may_be_slot {
                slot = rules.set.tx_slot(&made);
            }
        }
        if slot.is_none_or(|slot| !rules.set.pinned.contains(usize::from(slot))) {
            self.change(rules, &made, slot, change);
        }
        self.buffers.name = made;
    }

    /// Changes the TX variable of a slot, or of this name.
    fn change(&mut self, rules: View<'_>, made: &[u8], slot: Option<u16>, change: &Change) {
        let value = match change {
            Change::Unset => None,
            Change::Set(text) => Some(match text.constant() {
                Some(text) => self.store.add(text),
                None => {
                    let mut expanded = std::mem::take(&mut self.buffers.text);
                    expanded.clear();
                    self.expand_onto(rules, text, &mut expanded);
                    let id = self.store.add(&expanded);
                    self.buffers.text = expanded;
                    id
                }
            }),
            Change::Add(text) | Change::Subtract(text) => {
                let operand = match text.parts.as_slice() {
                    [Part::Literal(text)] => integer(text),
                    [Part::Tx(slot)] => self.tx_integer(*slot),
                    _ => integer(&self.expand(rules, text)),
                };
                let now = match slot {
                    Some(slot) => self.store.tx_slot(slot),
                    None => self.store.tx_other_named(made),
                };
                let now = now.map_or(0, |id| integer(self.store.get(id)));
                let sum = if matches!(change, Change::Add(_)) {
                    now.saturating_add(operand)
                } else {
                    now.saturating_sub(operand)
                };
                Some(self.store.add_number(sum))
            }
        };
        match slot {
            Some(slot) => self.store.tx_set_slot(slot, value),
            None => self.store.tx_other_set(made, value),
        }
    }

    /// The integer in a TX variable; 0 when it is not set, as an empty text has.
    fn tx_integer(&self, slot: u16) -> i64 {
        let id = self.store.tx_slot(slot);
        id.map_or(0, |id| integer(self.store.get(id)))
    }

    pub(super) fn record(&mut self, rules: View<'_>, rule: &Rule) {
        let mut text = |text: &Option<Macro>| {
            let bytes = text.as_ref().map(|t| match t.constant() {
                Some(text) => text.to_vec(),
                None => {
                    let mut out = Vec::with_capacity(LOG_TEXT_USUAL);
                    self.expand_onto(rules, t, &mut out);
                    out
                }
            });
            readable(bytes.unwrap_or_default(), LOG_TEXT_MAX)
        };
        let (message, data) = (text(&rule.message), text(&rule.data));
        // A rule without targets matches always: what another rule matched is not its own.
        let judges = rule.links.iter().any(|link| !link.targets.is_empty());
        let own = self.matched.filter(|_| judges);
        let (variable, value) = match own {
            Some(item) => (self.full_name(rules, &item), self.store.get(item.value)),
            None => (Vec::new(), b"".as_slice()),
        };
        let (others, others_dropped) = match own {
            Some(item) => self.others(rules, rule, &item),
            None => (Vec::new(), 0),
        };
        self.others += others.len();
        let record = RuleMatch {
            id: rule.id,
            message,
            data,
            severity: rule.severity,
            tags: Arc::clone(&rule.tags),
            phase: u8::try_from(rule.phase + 1).unwrap_or(5),
            variable: readable(variable, usize::MAX),
            value: excerpt(value),
            transformations: transformations(rules, rule),
            file: Arc::clone(&rule.file),
            line: rule.line,
            others,
            others_dropped,
            logged: rule.log,
            audited: rule.audit,
        };
        if self.matches.is_empty() {
            self.matches.reserve(MATCHES_USUAL);
        }
        self.matches.push(record);
    }

    /// What a match is about beside the item that matched last; and how many are left out.
    fn others(&self, rules: View<'_>, rule: &Rule, last: &Item) -> (Vec<Hit>, u32) {
        let mut others: Vec<Hit> = Vec::new();
        let mut dropped = 0;
        let mut from_request = !is_made_by_rules(last.var);
        let known = |others: &[Hit], name: &str| others.iter().any(|hit| hit.variable == name);
        for item in &self.buffers.hits {
            let is_last = item.var == last.var && item.name == last.name;
            let quoted = matches!(item.var, Var::MatchedVars | Var::MatchedVarsNames);
            if (is_last || is_made_by_rules(item.var)) && !quoted {
                continue;
            }
            if self.others + others.len() >= HITS_MAX || others.len() >= HITS_OF_RULE_MAX {
                dropped += 1;
                continue;
            }
            from_request = true;
            let name = if quoted {
                self.name_of(rules, item.name).to_vec()
            } else {
                self.full_name(rules, item)
            };
            let variable = String::from_utf8_lossy(&name).into_owned();
            if !known(&others, &variable) {
                let value = excerpt(self.store.get(item.value));
                others.push(Hit { variable, value });
            }
        }
        let wanted = !from_request && rule.links.len() > 1 && self.others < HITS_MAX;
        if let Some(head) = self.head_matched.filter(|_| wanted) {
            others.push(Hit {
                variable: String::from_utf8_lossy(&self.full_name(rules, &head)).into_owned(),
                value: excerpt(self.store.get(head.value)),
            });
        }
        (others, dropped)
    }
}

/// Whether the values of a variable are made while rules run.
fn is_made_by_rules(var: Var) -> bool {
    matches!(
        var,
        Var::Tx | Var::MatchedVar | Var::MatchedVarName | Var::MatchedVars | Var::MatchedVarsNames
    )
}

/// As much of a value as a record keeps.
fn excerpt(value: &[u8]) -> String {
    String::from_utf8_lossy(value.get(..LOG_VALUE_MAX).unwrap_or(value)).into_owned()
}

/// The first bytes of a text; it is copied only where it is no UTF-8.
fn readable(mut text: Vec<u8>, bytes_max: usize) -> String {
    text.truncate(bytes_max);
    String::from_utf8(text).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The names of the transformations of a rule's last link.
fn transformations(rules: View<'_>, rule: &Rule) -> Vec<&'static str> {
    let chain = rule.links.last().map_or(0, |link| usize::from(link.chain));
    let rows = rules.program.chains.get(chain).map(|chain| chain.rows.as_slice());
    let names = rows
        .unwrap_or_default()
        .iter()
        .filter_map(|row| TABLE.get(usize::from(*row)));
    names.map(|transformation| transformation.name).collect()
}
