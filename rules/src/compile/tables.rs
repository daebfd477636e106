//! What the engine looks up per phase: built once, when all rules are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::directives::Builder;
use super::{BASE, Effect, PROGRAMS, Part, Program, Rule, RuleSelector, Selector, Step, Target};
use crate::bits::Bits;
use crate::engine::{selects, stored};
use crate::filter::{Filter, Need};
use crate::seclang::Diagnostic;
use crate::variables::{STORED, Var};

/// The rules of one phase, and how to find those that may match.
#[derive(Debug)]
pub(crate) struct PhaseTable {
    /// All rules and markers, in order.
    pub(crate) steps: Vec<Step>,
    /// Steps that are looked at in every transaction.
    pub(crate) always: Bits,
    /// Steps that are looked at when one of these stored variables has a value.
    pub(crate) conditional: Vec<(usize, u64)>,
    /// The filter that decides about the rest.
    pub(crate) filter: usize,
    /// The step of each operator of the filter that is the head of a rule of this phase.
    pub(crate) step_of: Vec<usize>,
    /// The targets of those heads.
    pub(crate) sources: Vec<SourceGroup>,
}

/// One target, and the operators that look at its values.
#[derive(Debug)]
pub(crate) struct SourceGroup {
    pub(crate) target: Target,
    /// The filter that knows the operators.
    pub(crate) filter: usize,
    /// The stored variables behind the target, as bits.
    pub(crate) vars: u64,
    /// All of the operators.
    pub(crate) operators: Bits,
    /// The operators by the transformations before them, and whether intermediate values count.
    pub(crate) chains: Vec<(u16, bool, Bits)>,
}

/// The stored variables behind a variable, as bits; `None` for one whose values rules themselves change.
fn static_vars(var: Var) -> Option<u64> {
    match var {
        Var::Tx | Var::MatchedVar | Var::MatchedVarName | Var::MatchedVars | Var::MatchedVarsNames => None,
        // `ctl` sets it in the middle of a phase.
        Var::ReqbodyProcessor => None,
        Var::ArgsCombinedSize => Some(1 << (Var::RemoteAddr as u64)),
        _ => match stored(var).0 {
            [] if (var as usize) < STORED => Some(1 << (var as u64)),
            [] => None,
            sources => Some(sources.iter().fold(0, |all, v| all | 1 << (*v as u64))),
        },
    }
}

/// Variables that are made when asked for.
fn made() -> u64 {
    let all = [
        Var::RemoteAddr,
        Var::RemotePort,
        Var::ServerAddr,
        Var::ServerPort,
        Var::UniqueId,
        Var::Time,
        Var::TimeDay,
        Var::TimeEpoch,
        Var::TimeHour,
        Var::TimeMin,
        Var::TimeMon,
        Var::TimeSec,
        Var::TimeWday,
        Var::TimeYear,
    ];
    all.iter().fold(0, |bits, var| bits | 1 << (*var as u64))
}

pub(super) fn build(builder: Builder<'_>, phases: [Vec<Step>; 5]) -> (Program, Vec<Diagnostic>) {
    let Builder {
        mut rules,
        base,
        place,
        tx_first,
        tx_names,
        tx_slots,
        chains,
        selectors,
        settings,
        found,
        files,
        ..
    } = builder;
    let mut names: Vec<(u16, &[u8])> = Vec::new();
    let base_names = base.map(|base| base.tx_names.as_slice()).unwrap_or_default();
    names.extend((0_u16..).zip(base_names.iter().map(Vec::as_slice)));
    names.extend((tx_first..).zip(tx_names.iter().map(Vec::as_slice)));
    rules.iter_mut().for_each(|rule| settle_tx(rule, &names));
    // Own rules beside a base are few: they are looked at without a filter.
    let filters = match base {
        None => filters(&mut rules, &|| files.pause()),
        Some(_) => [Filter::new(&[], &|| {}), Filter::new(&[], &|| {})],
    };
    let phases = phases.map(|steps| {
        files.pause();
        table(steps, &rules, &filters)
    });
    let selections = selectors
        .iter()
        .map(|selector| {
            std::array::from_fn(|at| match base {
                _ if at == place => selected(selector, &rules),
                Some(base) if at == BASE => selected(selector, &base.rules),
                _ => Bits::default(),
            })
        })
        .collect::<Vec<[Bits; PROGRAMS]>>();
    let mut by_id: Vec<(u64, usize)> = rules.iter().enumerate().map(|(at, rule)| (rule.id, at)).collect();
    by_id.sort_unstable();
    let program = Program {
        rules,
        by_id,
        phases,
        filters,
        vars_made: made(),
        selections,
        tx_first,
        tx_names,
        tx_slots,
        chains,
        settings,
    };
    (program, found)
}

/// The rules that a selector is about.
pub(super) fn selected(selector: &RuleSelector, rules: &[Rule]) -> Bits {
    let mut selected = Bits::empty(rules.len());
    let all = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| selector.selects(rule));
    all.for_each(|(at, _)| selected.insert(at));
    selected
}

/// Finds, now that all names are known, which TX slots selectors and run-time names can be about.
fn settle_tx(rule: &mut Rule, names: &[(u16, &[u8])]) {
    for link in &mut rule.links {
        for target in link
            .targets
            .iter_mut()
            .filter(|t| t.var == Var::Tx && t.slot.is_none())
        {
            let selected = names.iter().filter(|(_, name)| selects(&target.selector, name));
            target.slots = selected.map(|(slot, _)| *slot).collect();
        }
        for effect in &mut link.effects {
            if let Effect::Set {
                name, may_be_slot, ..
            } = effect
            {
                let prefix = match name.parts.first() {
                    Some(Part::Literal(text)) => text.to_ascii_lowercase(),
                    _ => Vec::new(),
                };
                *may_be_slot = names.iter().any(|(_, known)| known.starts_with(&prefix));
            }
        }
    }
}

/// Which filter a phase asks.
fn filter_of(phase: usize) -> usize {
    usize::from(matches!(phase, 2 | 3))
}

/// Numbers every operator with a need, and builds the filters over them. `pause` is called between pieces of the work.
fn filters(rules: &mut [Rule], pause: &dyn Fn()) -> [Filter; 2] {
    let mut needs: [Vec<Arc<Need>>; 2] = Default::default();
    for rule in rules {
        let which = filter_of(rule.phase);
        let Some(needs) = needs.get_mut(which) else {
            continue;
        };
        for link in &mut rule.links {
            // An operator that needs nothing would be a candidate everywhere.
            let need = (!link.negated).then(|| link.operator.need()).flatten();
            if let Some(need) = need.filter(|n| n.length_min() > 0 || !n.clauses().is_empty())
                && needs.len() < usize::from(u16::MAX)
            {
                link.filter = Some((which, needs.len()));
                needs.push(need);
            }
        }
    }
    needs.map(|needs| Filter::new(&needs, pause))
}

fn table(steps: Vec<Step>, rules: &[Rule], filters: &[Filter; 2]) -> PhaseTable {
    let phase = steps.iter().find_map(|step| match step {
        Step::Rule(index) => rules.get(*index).map(|rule| rule.phase),
        Step::Marker => None,
    });
    let filter = filter_of(phase.unwrap_or(0));
    let bound = filters.get(filter).map_or(0, |f| f.words() * 64);
    let mut table = PhaseTable {
        always: Bits::empty(steps.len()),
        conditional: Vec::new(),
        filter,
        step_of: vec![usize::MAX; bound],
        sources: Vec::new(),
        steps,
    };
    let mut groups: HashMap<String, usize> = HashMap::new();
    for (at, step) in table.steps.clone().into_iter().enumerate() {
        let Step::Rule(index) = step else { continue };
        if let Some(rule) = rules.get(index) {
            place(&mut table, &mut groups, at, rule, bound);
        }
    }
    table
}

/// Decides when the rule at a step is looked at.
fn place(table: &mut PhaseTable, groups: &mut HashMap<String, usize>, at: usize, rule: &Rule, bound: usize) {
    let Some(head) = rule.links.first() else { return };
    let vars: Option<u64> = head.targets.iter().try_fold(0, |all, target| {
        static_vars(target.var)
            .filter(|_| !target.count)
            .map(|vars| all | vars)
    });
    let Some(vars) = vars.filter(|_| !head.targets.is_empty()) else {
        table.always.insert(at);
        return;
    };
    let Some((_, operator)) = head.filter.filter(|(which, _)| *which == table.filter) else {
        table.conditional.push((at, vars));
        return;
    };
    if let Some(step) = table.step_of.get_mut(operator) {
        *step = at;
    }
    for target in &head.targets {
        let (key, selector) = match &target.selector {
            Selector::All => (format!("{:?}", target.var), Selector::All),
            Selector::Key(key) => (format!("{:?}:{key:?}", target.var), Selector::Key(key.clone())),
            Selector::Regex(regex, text) => (
                format!("{:?}/{text}", target.var),
                Selector::Regex(Arc::clone(regex), text.clone()),
            ),
        };
        let group = *groups.entry(key).or_insert_with(|| {
            table.sources.push(SourceGroup {
                target: Target {
                    var: target.var,
                    selector,
                    slot: None,
                    slots: Box::default(),
                    count: false,
                },
                filter: table.filter,
                vars: static_vars(target.var).unwrap_or(0),
                operators: Bits::empty(bound),
                chains: Vec::new(),
            });
            table.sources.len() - 1
        });
        let Some(group) = table.sources.get_mut(group) else {
            continue;
        };
        group.operators.insert(operator);
        let known = group
            .chains
            .iter_mut()
            .find(|(chain, multi, _)| *chain == head.chain && *multi == head.multi_match);
        match known {
            Some((_, _, operators)) => operators.insert(operator),
            None => {
                let mut operators = Bits::empty(bound);
                operators.insert(operator);
                group.chains.push((head.chain, head.multi_match, operators));
            }
        }
    }
}
