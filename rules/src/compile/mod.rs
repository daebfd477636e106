//! Rule text to an immutable [`RuleSet`]. All errors are reported at once.

mod directives;
mod fold;
mod foreign;
mod lint;
mod macros;
mod off;
mod overlay;
mod persist;
mod plan;
mod rule;
mod tables;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use regex_automata::meta::Regex;

use fold::{Surroundings, fold};
pub(crate) use macros::{Macro, Part};
pub(crate) use off::Off;
pub use overlay::{Overlay, RuleChoice};
pub(crate) use plan::Plan;
pub(crate) use tables::{PhaseTable, SourceGroup};

use crate::bits::Bits;
use crate::filter::Filter;
use crate::operators::{Operator, Patterns};
use crate::seclang::{Diagnostic, Severity};
use crate::sources::{Files, Source};
use crate::variables::Var;

/// What compiling yields.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rules, to be shared by all transactions.
    pub rules: Arc<RuleSet>,
    /// What works but may not mean what its author thinks.
    pub warnings: Vec<Diagnostic>,
}

/// What `SecRuleEngine` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineMode {
    On,
    DetectionOnly,
    Off,
}

/// Whether elements of XML become arguments: `SecParseXmlIntoArgs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum XmlArgs {
    #[default]
    Off,
    On,
    /// And `XML` has no value.
    Only,
}

/// Which requests leave an audit event: what `SecAuditEngine` and `ctl:auditEngine` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// All that rules looked at (`On`).
    All,
    /// Those on which a rule matched that is audited (`RelevantOnly`).
    Matches,
    /// None (`Off`).
    Off,
}

/// A compiled set of rules; immutable. Sets with the same base share it: see [`RuleSet::with_overlay`].
#[derive(Debug)]
pub struct RuleSet {
    /// What runs, in order: own rules before the base, the base, own rules after it.
    pub(crate) programs: [Option<Arc<Program>>; PROGRAMS],
    /// What of the base is left to do per transaction.
    pub(crate) plan: Plan,
    /// Rules of the base that the overlay switches off.
    pub(crate) removed: Bits,
    /// Targets that the overlay takes away from rules of the base.
    pub(crate) excluded: Vec<(Bits, Arc<Target>)>,
    /// TX slots that rules do not change, because the overlay sets them.
    pub(crate) pinned: Bits,
    pub(crate) settings: Settings,
    /// All TX slots.
    pub(crate) tx_count: usize,
    /// What overlays take compiled patterns from.
    pub(crate) patterns: Arc<Patterns>,
}

/// Rule files that are compiled together.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) rules: Vec<Rule>,
    /// Ids, in order, with the rule's place in `rules`.
    pub(crate) by_id: Vec<(u64, usize)>,
    /// The way through the rules of each phase.
    pub(crate) phases: [PhaseTable; 5],
    /// For the operators of the request phases, and of the response phases.
    pub(crate) filters: [Filter; 2],
    /// Variables that have a value in every transaction, as bits.
    pub(crate) vars_made: u64,
    /// Sets of rules that `ctl` actions name, per program of the set.
    pub(crate) selections: Vec<[Bits; PROGRAMS]>,
    /// The first of its own TX slots; those below are the base's.
    pub(crate) tx_first: u16,
    pub(crate) tx_names: Vec<Vec<u8>>,
    pub(crate) tx_slots: HashMap<Vec<u8>, u16>,
    /// Sequences of rows of the transformation table; index 0 is the empty one.
    pub(crate) chains: Vec<Chain>,
    pub(crate) settings: Settings,
}

/// Programs of a set, and which of them is the base.
pub(crate) const PROGRAMS: usize = 3;
pub(crate) const BASE: usize = 1;

/// A sequence of transformations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) rows: Vec<u16>,
    /// The rows as bits.
    pub(crate) mask: u64,
}

/// What the engine directives set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) engine: EngineMode,
    pub(crate) request_body: bool,
    pub(crate) response_body: bool,
    pub(crate) response_types: Vec<String>,
    pub(crate) arguments_max: usize,
    pub(crate) json_depth_max: usize,
    pub(crate) argument_separator: u8,
    /// Whether a rule looks at the contents of files.
    pub(crate) file_contents: bool,
    /// Whether a rule looks at the request as it was sent.
    pub(crate) full_request: bool,
    /// What becomes of the elements of XML.
    pub(crate) xml_args: XmlArgs,
    pub(crate) audit: Audit,
    /// Of the texts of all rule files, in the order in which they were read.
    pub(crate) digest: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Rule(usize),
    /// A marker: a place to continue at, and nothing else.
    Marker,
}

#[derive(Debug)]
pub(crate) enum Selector {
    All,
    Key(Vec<u8>),
    /// The compiled pattern and its text.
    Regex(Arc<Regex>, String),
}

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) var: Var,
    pub(crate) selector: Selector,
    /// The TX slot, if the target is one TX variable.
    pub(crate) slot: Option<u16>,
    /// The TX slots that the selector selects, if it is about several.
    pub(crate) slots: Box<[u16]>,
    pub(crate) count: bool,
}

/// One rule of a chain.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) targets: Vec<Target>,
    pub(crate) exclusions: Vec<Arc<Target>>,
    pub(crate) operator: Operator,
    /// The filter that knows the operator, and its number there.
    pub(crate) filter: Option<(usize, usize)>,
    pub(crate) negated: bool,
    pub(crate) chain: u16,
    pub(crate) multi_match: bool,
    pub(crate) capture: bool,
    pub(crate) effects: Vec<Effect>,
}

/// A rule with its chain; the head is the first link.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) phase: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) disruptive: Disruptive,
    pub(crate) status: u16,
    pub(crate) log: bool,
    pub(crate) audit: bool,
    pub(crate) message: Option<Macro>,
    pub(crate) data: Option<Macro>,
    pub(crate) severity: Option<u8>,
    pub(crate) tags: Arc<[String]>,
    pub(crate) skip: usize,
    pub(crate) skip_after: Option<String>,
    /// The step to continue at, from `skip_after`.
    pub(crate) jump: Option<usize>,
    pub(crate) file: Arc<PathBuf>,
    pub(crate) line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disruptive {
    Pass,
    Deny,
    AllowAll,
    AllowPhase,
    AllowRequest,
}

/// What a match does besides stopping the request; runs for every matching value.
#[derive(Debug)]
pub(crate) enum Effect {
    Set {
        name: Macro,
        /// The slot of a name that is known at load.
        slot: Option<u16>,
        /// Whether a name that is made at run time may be that of a slot.
        may_be_slot: bool,
        change: Change,
    },
    Engine(EngineMode),
    Audit(Audit),
    BodyProcessor(String),
    XmlArgs(XmlArgs),
    ForceRequestBody(bool),
    RequestBodyAccess(bool),
    ResponseBodyAccess(bool),
    /// An index into the selections.
    RemoveRules(usize),
    RemoveTarget(usize, Arc<Target>),
    /// `initcol`, `setuid` and their like: which record of a persistent collection the request is about.
    Open(Var, Macro),
    /// `setvar` of a persistent collection.
    Keep(Var, Macro, Change),
    /// `expirevar`, in seconds.
    Expire(Var, Macro, Macro),
    /// `deprecatevar`: so much less for each so many seconds.
    Decay(Var, Macro, i64, u64),
}

#[derive(Debug)]
pub(crate) enum Change {
    Set(Macro),
    Add(Macro),
    Subtract(Macro),
    Unset,
}

/// Which rules an exclusion is about.
#[derive(Debug)]
pub(crate) enum RuleSelector {
    Ids(Vec<(u64, u64)>),
    Tag(Arc<Regex>),
    Message(Arc<Regex>),
}

impl RuleSelector {
    pub(crate) fn selects(&self, rule: &Rule) -> bool {
        match self {
            Self::Ids(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&rule.id)),
            Self::Tag(regex) => rule.tags.iter().any(|tag| regex.is_match(tag.as_bytes())),
            Self::Message(regex) => rule
                .message
                .as_ref()
                .is_some_and(|m| regex.is_match(&m.literal())),
        }
    }
}

impl Program {
    fn has_phase(&self, phase: usize) -> bool {
        let is_rule = |step: &Step| matches!(step, Step::Rule(_));
        self.phases
            .get(phase)
            .is_some_and(|table| table.steps.iter().any(is_rule))
    }
}

impl RuleSet {
    /// The number of rules; a chain counts as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.programs
            .iter()
            .flatten()
            .map(|program| program.rules.len())
            .sum()
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells sets apart that were made of other rule texts; phrase files do not count.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.settings.digest
    }

    /// Whether any rule judges the request body.
    #[must_use]
    pub fn inspects_request_body(&self) -> bool {
        self.settings.request_body && self.has_phase(1)
    }

    /// Whether any rule judges the response.
    #[must_use]
    pub fn inspects_response(&self) -> bool {
        self.has_phase(2) || self.has_phase(3)
    }

    pub(crate) fn has_phase(&self, phase: usize) -> bool {
        self.programs
            .iter()
            .flatten()
            .any(|program| program.has_phase(phase))
    }

    /// The name of a TX slot.
    pub(crate) fn tx_name(&self, slot: u16) -> &[u8] {
        let owner = self.programs.iter().flatten().find_map(|program| {
            let own = slot.checked_sub(program.tx_first)?;
            program.tx_names.get(usize::from(own))
        });
        owner.map(Vec::as_slice).unwrap_or_default()
    }

    /// The TX slot of a name in lower case.
    pub(crate) fn tx_slot(&self, name: &[u8]) -> Option<u16> {
        let known = |program: &Arc<Program>| program.tx_slots.get(name).copied();
        self.programs.iter().flatten().find_map(known)
    }
}

/// Compiles rule files, in the order given.
///
/// # Errors
/// Every error of every file; nothing is ignored.
pub fn compile(sources: &[Source], files: &dyn Files) -> Result<Compiled, Vec<Diagnostic>> {
    compile_with(sources, files, &Arc::default())
}

/// As [`compile`]; patterns that another set uses, which was compiled with the same `patterns`, are taken from it.
///
/// # Errors
/// Every error of every file; nothing is ignored.
pub fn compile_with(
    sources: &[Source],
    files: &dyn Files,
    patterns: &Arc<Patterns>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let mut builder = directives::Builder::new(files, patterns);
    for source in sources {
        builder.source(source, 0);
    }
    let (program, found) = builder.finish();
    if found.iter().any(|d| d.severity == Severity::Error) {
        return Err(found
            .into_iter()
            .filter(|d| d.severity == Severity::Error)
            .collect());
    }
    files.pause();
    let plan = fold(&program, &Surroundings::default()).settle(&program);
    let rules = RuleSet {
        settings: program.settings.clone(),
        tx_count: program.tx_names.len(),
        programs: [None, Some(Arc::new(program)), None],
        plan,
        removed: Bits::default(),
        excluded: Vec::new(),
        pinned: Bits::default(),
        patterns: Arc::clone(patterns),
    };
    Ok(Compiled {
        rules: Arc::new(rules),
        warnings: found,
    })
}
