//! A tenant's own view of a shared set: variables, exclusions and own rules, without another copy of the set.

use std::path::PathBuf;
use std::sync::Arc;

use super::directives::{Builder, rule_selector};
use super::fold::{Surroundings, fold};
use super::tables::selected;
use super::{BASE, Compiled, RuleSelector, RuleSet, Target};
use crate::bits::Bits;
use crate::operators::Patterns;
use crate::seclang::{Diagnostic, Severity, target_of};
use crate::sources::{Files, Source};

/// Rules of the shared set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleChoice {
    /// Ids and ranges of ids: `942100,942200-942299`.
    Ids(String),
    /// A regex over their messages.
    Message(String),
    /// A regex over their tags.
    Tag(String),
}

impl std::fmt::Display for RuleChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ids(ids) => write!(f, "id {ids}"),
            Self::Message(pattern) => write!(f, "message `{pattern}`"),
            Self::Tag(pattern) => write!(f, "tag `{pattern}`"),
        }
    }
}

/// What a tenant changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// TX variables by name, such as `blocking_paranoia_level`. They are set when a transaction begins, and no rule
    /// changes them.
    pub tx: Vec<(String, String)>,
    /// Rules that do not run.
    pub remove: Vec<RuleChoice>,
    /// Targets that rules do not look at: `ARGS:password`, `REQUEST_COOKIES:/^_pk_/`.
    pub remove_targets: Vec<(RuleChoice, String)>,
    /// Own rules that run before the shared ones, in each phase.
    pub before: Vec<Source>,
    /// Own rules that run after the shared ones. `SecRuleRemoveBy*` and `SecRuleUpdateTargetBy*` in own rules are about
    /// the shared ones too.
    pub after: Vec<Source>,
}

impl RuleSet {
    /// The set with an overlay on its base; the base is shared, not copied. An overlay that this set has is replaced.
    ///
    /// # Errors
    /// Every error of every file and choice.
    pub fn with_overlay(&self, overlay: &Overlay, files: &dyn Files) -> Result<Compiled, Vec<Diagnostic>> {
        let Some(base) = self.programs.get(BASE).cloned().flatten() else {
            return Err(Vec::new());
        };
        let mut found = Vec::new();
        let mut settings = base.settings.clone();
        let mut tx_count = base.tx_names.len();
        let mut removed = Bits::default();
        let mut excluded: Vec<(Bits, Arc<Target>)> = Vec::new();
        let mut own = [None, None];
        let own_sources = [(0, &overlay.before), (2, &overlay.after)];
        for ((place, sources), slot) in own_sources.into_iter().zip(&mut own) {
            if sources.is_empty() {
                continue;
            }
            let mut builder = Builder::beside(files, &self.patterns, &base, place, tx_count);
            builder.settings = settings.clone();
            for source in sources {
                builder.source(source, 0);
            }
            removed.absorb(&builder.base_removed);
            excluded.append(&mut builder.base_excluded);
            let (program, diagnostics) = builder.finish();
            found.extend(diagnostics);
            settings = program.settings.clone();
            tx_count += program.tx_names.len();
            *slot = Some(Arc::new(program));
        }
        choices(
            overlay,
            (&base.rules, &self.patterns),
            &mut removed,
            &mut excluded,
            &mut found,
        );
        let [before, after] = own;
        let programs = [before, Some(Arc::clone(&base)), after];
        let mut pinned = Vec::new();
        for (name, value) in &overlay.tx {
            let name = name.to_ascii_lowercase();
            let slot = programs
                .iter()
                .flatten()
                .find_map(|p| p.tx_slots.get(name.as_bytes()));
            match slot {
                Some(slot) => pinned.push((*slot, value.clone().into_bytes())),
                None => found.push(note(
                    Severity::Warning,
                    "unused_variable",
                    format!("no rule reads or sets `tx.{name}`"),
                )),
            }
        }
        if found.iter().any(|d| d.severity == Severity::Error) {
            return Err(found
                .into_iter()
                .filter(|d| d.severity == Severity::Error)
                .collect());
        }
        let mut pinned_slots = Bits::empty(tx_count);
        pinned
            .iter()
            .for_each(|(slot, _)| pinned_slots.insert(usize::from(*slot)));
        let around = Surroundings {
            pinned,
            before: programs.first().and_then(Option::as_deref),
            after: programs.last().and_then(Option::as_deref),
            removed: removed.clone(),
            excluded: &excluded,
        };
        let plan = fold(&base, &around).settle(&base);
        let rules = Self {
            programs,
            plan,
            removed,
            excluded,
            pinned: pinned_slots,
            settings,
            tx_count,
            patterns: Arc::clone(&self.patterns),
        };
        Ok(Compiled {
            rules: Arc::new(rules),
            warnings: found,
        })
    }
}

/// Resolves the overlay's exclusions.
fn choices(
    overlay: &Overlay,
    (rules, patterns): (&[super::Rule], &Arc<Patterns>),
    removed: &mut Bits,
    excluded: &mut Vec<(Bits, Arc<Target>)>,
    found: &mut Vec<Diagnostic>,
) {
    let select = |choice: &RuleChoice, found: &mut Vec<Diagnostic>| match selector(choice, patterns) {
        Ok(selector) => {
            let hit = selected(&selector, rules);
            if hit.is_empty() {
                let message = format!("no rule of the shared set is selected by {choice}");
                found.push(note(Severity::Warning, "exclusion_matches_nothing", message));
            }
            hit
        }
        Err(error) => {
            found.push(note(
                Severity::Error,
                "bad_selector",
                format!("{choice}: {error}"),
            ));
            Bits::default()
        }
    };
    for choice in &overlay.remove {
        let hit = select(choice, found);
        removed.absorb(&hit);
    }
    for (choice, target) in &overlay.remove_targets {
        let hit = select(choice, found);
        let mut builder = Builder::new(&crate::sources::Disk, patterns);
        let targets = builder.targets_of(&target_of(target, &PathBuf::from("overlay")));
        found.append(&mut builder.found);
        excluded.extend(targets.into_iter().map(|target| (hit.clone(), Arc::new(target))));
    }
}

fn selector(choice: &RuleChoice, patterns: &Patterns) -> Result<RuleSelector, String> {
    match choice {
        RuleChoice::Ids(ids) => rule_selector("ById", ids, patterns),
        RuleChoice::Message(pattern) => rule_selector("ByMsg", pattern, patterns),
        RuleChoice::Tag(pattern) => rule_selector("ByTag", pattern, patterns),
    }
}

fn note(severity: Severity, code: &'static str, message: String) -> Diagnostic {
    Diagnostic {
        path: PathBuf::from("overlay"),
        line: 1,
        column: 1,
        severity,
        code,
        message,
        hint: None,
    }
}
