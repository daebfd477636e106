//! Rules whose outcome is known at load are decided at load: defaults of TX variables and paranoia gates.
//!
//! Safety argument. The steps are walked in the order in which they run. A TX variable is *known* while only decided
//! rules have written it; from the first write by another rule on it is not. A rule is decided when it looks at nothing
//! but known variables and constants, logs nothing, refuses nothing and writes nothing but TX. Then
//! - a rule that does not match, or matches without any effect, is left out: running it would change nothing;
//! - what a rule writes is set when its phase begins. That is the same for every rule that could tell, because it is
//!   only done when no undecided rule of the phase before it reads or writes the variable, and none before it can end or
//!   jump over the place where it stands;
//! - the rules that a matching gate always jumps over are left out with it, unless something else may jump between
//!   them, or a `ctl` may switch off the gate without switching off all of them.
//!
//! The plain evaluation runs all of them; the tests compare both.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    BASE, Change, Disruptive, Effect, Link, Macro, Part, Plan, Program, Rule, Selector, Step, Target,
};
use crate::bits::Bits;
use crate::operators::Operator;
use crate::transformations::TABLE;
use crate::variables::Var;

/// A TX variable's value: `None` while unset.
type Known = Option<Vec<u8>>;

/// What an overlay puts around the rules.
#[derive(Debug, Default)]
pub(super) struct Surroundings<'a> {
    /// TX variables that every transaction begins with, and that rules do not change.
    pub(super) pinned: Vec<(u16, Vec<u8>)>,
    /// Own rules that run before and after.
    pub(super) before: Option<&'a Program>,
    pub(super) after: Option<&'a Program>,
    /// Rules that do not run.
    pub(super) removed: Bits,
    /// Targets that are taken away from rules.
    pub(super) excluded: &'a [(Bits, Arc<Target>)],
}

struct Folder<'a> {
    rules: &'a Program,
    /// What is known about each slot; absent: nothing.
    tx: HashMap<u16, Known>,
    /// Slots that undecided rules of this phase have read so far; `None`: perhaps all.
    read: Option<Bits>,
    /// Selections of rules that undecided rules so far may switch off.
    removals: Vec<&'a Bits>,
    around: &'a Surroundings<'a>,
}

/// Decides what can be decided.
pub(super) fn fold(rules: &Program, around: &Surroundings<'_>) -> Plan {
    let mut folder = Folder {
        rules,
        tx: (0..u16::try_from(rules.tx_names.len()).unwrap_or(u16::MAX))
            .map(|slot| (slot, None))
            .collect(),
        read: None,
        removals: Vec::new(),
        around,
    };
    for (slot, value) in &around.pinned {
        folder.tx.insert(*slot, Some(value.clone()));
    }
    let mut plan = Plan::everything(rules, &around.pinned);
    let programs = [around.before, Some(rules), around.after];
    let decides = !programs.into_iter().flatten().any(stale_matches_are_read);
    for phase in 0..rules.phases.len() {
        folder.drop_removed(phase, &mut plan);
        if decides {
            folder.phase(phase, &mut plan);
        }
    }
    plan
}

/// Whether a rule can see what an earlier, perhaps decided, rule has matched.
fn stale_matches_are_read(rules: &Program) -> bool {
    let matched = |var: Var| {
        matches!(
            var,
            Var::MatchedVar | Var::MatchedVarName | Var::MatchedVars | Var::MatchedVarsNames
        )
    };
    let in_text = |text: &Macro| {
        text.parts
            .iter()
            .any(|p| matches!(p, Part::Value(var, _) if matched(*var)))
    };
    rules.rules.iter().any(|rule| {
        let Some(head) = rule.links.first() else {
            return false;
        };
        let in_effects = |link: &Link| link.effects.iter().any(|e| texts_of(e).into_iter().any(in_text));
        head.targets.iter().any(|t| matched(t.var))
            || (head.targets.is_empty() && rule.links.iter().any(in_effects))
            || operator_text(head).is_some_and(in_text)
            || (head.targets.is_empty() && [&rule.message, &rule.data].into_iter().flatten().any(in_text))
    })
}

fn texts_of(effect: &Effect) -> Vec<&Macro> {
    match effect {
        Effect::Set { name, change, .. } => match change {
            Change::Set(text) | Change::Add(text) | Change::Subtract(text) => vec![name, text],
            Change::Unset => vec![name],
        },
        Effect::Open(_, text) | Effect::Keep(_, text, Change::Unset) | Effect::Decay(_, text, ..) => {
            vec![text]
        }
        Effect::Keep(_, name, Change::Set(text) | Change::Add(text) | Change::Subtract(text))
        | Effect::Expire(_, name, text) => vec![name, text],
        _ => Vec::new(),
    }
}

fn operator_text(link: &Link) -> Option<&Macro> {
    match &link.operator {
        Operator::Number(_, text) | Operator::Text(_, text) => Some(text),
        _ => None,
    }
}

/// What running a decided rule does.
struct Outcome {
    matched: bool,
    writes: Vec<(u16, Known)>,
}

impl<'a> Folder<'a> {
    fn drop_removed(&self, phase: usize, plan: &mut Plan) {
        let steps = self.rules.phases.get(phase).map(|table| table.steps.as_slice());
        for (at, step) in steps.unwrap_or_default().iter().enumerate() {
            if matches!(step, Step::Rule(index) if self.around.removed.contains(*index)) {
                plan.drop_step(phase, at);
            }
        }
    }

    /// Notes what all own rules of a phase may do.
    fn own_rules(&mut self, program: Option<&'a Program>, phase: usize) -> bool {
        let mut may_end = false;
        for rule in program
            .into_iter()
            .flat_map(|p| &p.rules)
            .filter(|r| r.phase == phase)
        {
            may_end |= rule.disruptive != Disruptive::Pass;
            if let Some(program) = program {
                self.undecided(rule, program);
            }
        }
        may_end
    }

    fn phase(&mut self, phase: usize, plan: &mut Plan) {
        let Some(table) = self.rules.phases.get(phase) else {
            return;
        };
        self.read = Some(Bits::empty(self.rules.tx_names.len()));
        let mut writes: Vec<(u16, Known)> = Vec::new();
        // Steps before this one may be jumped over by an undecided rule.
        let may_end = self.own_rules(self.around.before, phase);
        let mut uncertain_until = if may_end { usize::MAX } else { 0 };
        let mut targets: Vec<usize> = Vec::new();
        let mut at = 0;
        while let Some(step) = table.steps.get(at) {
            let here = at;
            at += 1;
            let Step::Rule(index) = step else { continue };
            let Some(rule) = self.rules.rules.get(*index) else {
                continue;
            };
            if self.around.removed.contains(*index) {
                continue;
            }
            let outcome = self.decide(rule, *index, here < uncertain_until);
            let Some(outcome) = outcome else {
                self.undecided(rule, self.rules);
                targets.extend(rule.jump);
                if let Some(jump) = rule.jump {
                    uncertain_until = uncertain_until.max(jump);
                }
                if rule.skip > 0 || rule.disruptive != Disruptive::Pass {
                    uncertain_until = usize::MAX;
                }
                continue;
            };
            let end = rule.jump.filter(|_| outcome.matched);
            if let Some(end) = end.filter(|end| *end > at) {
                let entered = targets.iter().any(|t| (at + 1..end).contains(t));
                let kept = self.outlives_its_gate(*index, table.steps.get(at..end).unwrap_or_default());
                if entered || kept || !outcome.writes.is_empty() {
                    // The gate runs; whether it jumps is known, but the rules behind it stay.
                    self.undecided(rule, self.rules);
                    uncertain_until = uncertain_until.max(end);
                    targets.push(end);
                    continue;
                }
                (here..end).for_each(|step| plan.drop_step(phase, step));
                at = end;
                continue;
            }
            plan.drop_step(phase, here);
            for (slot, value) in outcome.writes {
                self.tx.insert(slot, value.clone());
                writes.retain(|(known, _)| *known != slot);
                writes.push((slot, value));
            }
        }
        plan.set_writes(phase, writes);
        self.own_rules(self.around.after, phase);
    }

    /// Whether a `ctl` may switch off the gate, but not every rule behind it.
    fn outlives_its_gate(&self, gate: usize, steps: &[Step]) -> bool {
        let mut hit = self.removals.iter().filter(|selection| selection.contains(gate));
        hit.any(|selection| {
            steps
                .iter()
                .any(|step| matches!(step, Step::Rule(index) if !selection.contains(*index)))
        })
    }

    /// What the rule does, if it is known and can be done when the phase begins.
    fn decide(&self, rule: &Rule, index: usize, uncertain: bool) -> Option<Outcome> {
        if self.around.excluded.iter().any(|(on, _)| on.contains(index)) {
            return None;
        }
        let mut tx: HashMap<u16, Known> = HashMap::new();
        let mut matched = true;
        for link in &rule.links {
            if !self.link(link, &mut tx)? {
                matched = false;
                break;
            }
        }
        if matched
            && (rule.log
                || rule.audit
                || rule.severity.is_some()
                || rule.disruptive != Disruptive::Pass
                || rule.skip > 0)
        {
            return None;
        }
        let writes: Vec<(u16, Known)> = tx.into_iter().collect();
        let removable = self.removals.iter().any(|selection| selection.contains(index));
        let seen = |slot: u16| {
            self.read
                .as_ref()
                .is_none_or(|read| read.contains(usize::from(slot)))
        };
        let early = uncertain || removable || writes.iter().any(|(slot, _)| seen(*slot));
        (writes.is_empty() || !early).then_some(Outcome { matched, writes })
    }

    /// Whether a link matches; its writes go to `tx`. `None` when that depends on the request.
    fn link(&self, link: &Link, tx: &mut HashMap<u16, Known>) -> Option<bool> {
        if link.capture || !link.exclusions.is_empty() {
            return None;
        }
        let mut values: Vec<Vec<u8>> = Vec::new();
        for target in &link.targets {
            let slot = target.slot.filter(|_| target.var == Var::Tx)?;
            if !matches!(target.selector, Selector::Key(_)) {
                return None;
            }
            let value = self.value(slot, tx)?;
            match (target.count, value) {
                (true, value) => values.push(usize::from(value.is_some()).to_string().into_bytes()),
                (false, Some(value)) => values.push(value),
                (false, None) => {}
            }
        }
        if link.targets.is_empty() {
            self.effects(link, tx)?;
            return Some(true);
        }
        let argument = match operator_text(link) {
            Some(text) => self.expand(text, tx)?,
            None => Vec::new(),
        };
        if link.multi_match || matches!(link.operator, Operator::Address(_)) {
            return None;
        }
        let mut matched = false;
        for mut value in values {
            for row in &self.rules.chains.get(usize::from(link.chain))?.rows {
                let mut out = Vec::new();
                if (TABLE.get(usize::from(*row))?.apply)(&value, &mut out) {
                    value = out;
                }
            }
            if link.operator.matches(&value, &argument, None) != link.negated {
                matched = true;
                self.effects(link, tx)?;
            }
        }
        Some(matched)
    }

    fn effects(&self, link: &Link, tx: &mut HashMap<u16, Known>) -> Option<()> {
        for effect in &link.effects {
            let Effect::Set { slot, change, .. } = effect else {
                return None;
            };
            let slot = (*slot)?;
            let value = match change {
                Change::Unset => None,
                Change::Set(text) => Some(self.expand(text, tx)?),
                Change::Add(text) | Change::Subtract(text) => {
                    let operand = crate::operators::integer(&self.expand(text, tx)?);
                    let now = self.value(slot, tx)?;
                    let now = now.map_or(0, |v| crate::operators::integer(&v));
                    let sum = if matches!(change, Change::Add(_)) {
                        now.saturating_add(operand)
                    } else {
                        now.saturating_sub(operand)
                    };
                    Some(sum.to_string().into_bytes())
                }
            };
            if !self.is_pinned(slot) {
                tx.insert(slot, value);
            }
        }
        Some(())
    }

    fn is_pinned(&self, slot: u16) -> bool {
        self.around.pinned.iter().any(|(pinned, _)| *pinned == slot)
    }

    fn value(&self, slot: u16, tx: &HashMap<u16, Known>) -> Option<Known> {
        tx.get(&slot).or_else(|| self.tx.get(&slot)).cloned()
    }

    fn expand(&self, text: &Macro, tx: &HashMap<u16, Known>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for part in &text.parts {
            match part {
                Part::Literal(literal) => out.extend_from_slice(literal),
                Part::Tx(slot) => out.extend(self.value(*slot, tx)?.unwrap_or_default()),
                Part::Value(..) => return None,
            }
        }
        Some(out)
    }

    /// Notes what a rule that runs may read, write and switch off.
    fn undecided(&mut self, rule: &Rule, program: &'a Program) {
        for link in &rule.links {
            for target in link.targets.iter().filter(|t| t.var == Var::Tx) {
                match target.slot {
                    Some(slot) => self.reads(slot),
                    None => self.read = None,
                }
            }
            if let Some(text) = operator_text(link) {
                self.reads_text(text);
            }
            if link.capture {
                (0..10).for_each(|slot| {
                    self.tx.remove(&slot);
                });
            }
            for effect in &link.effects {
                texts_of(effect)
                    .into_iter()
                    .for_each(|text| self.reads_text(text));
                match effect {
                    Effect::Set { slot: Some(slot), .. } => {
                        // What is added to was read.
                        self.reads(*slot);
                        if !self.is_pinned(*slot) {
                            self.tx.remove(slot);
                        }
                    }
                    Effect::Set { name, .. } => self.may_write(name),
                    Effect::RemoveRules(which) => {
                        let all = program.selections.get(*which);
                        self.removals.extend(all.and_then(|all| all.get(BASE)));
                    }
                    _ => {}
                }
            }
        }
        for text in [&rule.message, &rule.data].into_iter().flatten() {
            self.reads_text(text);
        }
    }

    fn reads(&mut self, slot: u16) {
        if let Some(read) = &mut self.read {
            read.insert(usize::from(slot));
        }
    }

    fn reads_text(&mut self, text: &Macro) {
        for part in &text.parts {
            match part {
                Part::Tx(slot) => self.reads(*slot),
                Part::Value(Var::Tx, _) => self.read = None,
                _ => {}
            }
        }
    }

    /// A name made at run time may be that of any variable that begins as the name does.
    fn may_write(&mut self, name: &Macro) {
        let prefix = match name.parts.first() {
            Some(Part::Literal(text)) => text.to_ascii_lowercase(),
            _ => Vec::new(),
        };
        for (slot, known) in (0_u16..).zip(&self.rules.tx_names) {
            if known.starts_with(&prefix) && !self.is_pinned(slot) {
                self.reads(slot);
                self.tx.remove(&slot);
            }
        }
    }
}
