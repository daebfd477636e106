//! Every directive, in file order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::foreign::{self, REFUSED, WITHOUT_EFFECT};
use super::rule::Defaults;
use super::tables;
use super::{
    Audit, BASE, Chain, EngineMode, Link, Program, Rule, RuleSelector, Settings, Step, Target, XmlArgs,
};
use crate::bits::Bits;
use crate::operators::{self, Patterns};
use crate::seclang::{Arg, Diagnostic, Directive, Place, RawTarget, directives, nearest, split_targets};
use crate::sources::{Files, Source};

/// As 64-bit FNV-1a (draft-eastlake-fnv), but a word at a time, which a reload of a large set feels: tells texts apart, and is no
/// defence against who wants two to look alike.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn digest_of(digest: u64, text: &[u8]) -> u64 {
    // The turn brings what the product moved up back to where the next product moves it on.
    let step = |digest: u64, word: u64| (digest ^ word).wrapping_mul(FNV_PRIME).rotate_left(29);
    let (words, rest) = text.as_chunks::<8>();
    let digest = words
        .iter()
        .fold(digest, |digest, word| step(digest, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    step(step(digest, last), u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// `Include` deeper than this is taken for a loop.
const INCLUDE_DEPTH_MAX: usize = 16;

const KNOWN: &[&str] = &[
    "Include",
    "SecAction",
    "SecArgumentSeparator",
    "SecArgumentsLimit",
    "SecAuditEngine",
    "SecComponentSignature",
    "SecDefaultAction",
    "SecMarker",
    "SecParseXmlIntoArgs",
    "SecRequestBodyAccess",
    "SecRequestBodyJsonDepthLimit",
    "SecResponseBodyAccess",
    "SecResponseBodyMimeType",
    "SecResponseBodyMimeTypesClear",
    "SecRule",
    "SecRuleEngine",
    "SecRuleRemoveById",
    "SecRuleRemoveByMsg",
    "SecRuleRemoveByTag",
    "SecRuleUpdateActionById",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateTargetByTag",
];

pub(super) struct Builder<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) patterns: Arc<Patterns>,
    pub(super) found: Vec<Diagnostic>,
    pub(super) rules: Vec<Rule>,
    pub(super) defaults: [Defaults; 5],
    /// The program whose names and rules the files may use, and the program's place beside it.
    pub(super) base: Option<&'a Program>,
    pub(super) place: usize,
    pub(super) tx_first: u16,
    /// Rules of the base that are switched off, and targets that are taken away from them.
    pub(super) base_removed: Bits,
    pub(super) base_excluded: Vec<(Bits, Arc<Target>)>,
    pub(super) tx_names: Vec<Vec<u8>>,
    pub(super) tx_slots: HashMap<Vec<u8>, u16>,
    pub(super) chains: Vec<Chain>,
    /// Rules that `ctl` actions name; which those are is known at the end.
    pub(super) selectors: Vec<RuleSelector>,
    pub(super) ids: HashMap<u64, String>,
    /// The rule that the next one belongs to, if its last link says `chain`.
    pub(super) open: Option<Rule>,
    pub(super) settings: Settings,
    /// Markers with the number of rules before them, and where they stand.
    markers: Vec<(String, usize, Place)>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(files: &'a dyn Files, patterns: &Arc<Patterns>) -> Self {
        let settings = Settings {
            engine: EngineMode::On,
            request_body: true,
            response_body: false,
            response_types: ["text/plain", "text/html", "text/xml"]
                .map(str::to_owned)
                .to_vec(),
            arguments_max: 1000,
            json_depth_max: 512,
            argument_separator: b'&',
            file_contents: false,
            full_request: false,
            xml_args: XmlArgs::Off,
            audit: Audit::Matches,
            digest: FNV_BASIS,
        };
        let mut builder = Self {
            files,
            patterns: Arc::clone(patterns),
            found: Vec::new(),
            rules: Vec::new(),
            defaults: std::array::from_fn(|_| Defaults::default()),
            base: None,
            place: BASE,
            tx_first: 0,
            base_removed: Bits::default(),
            base_excluded: Vec::new(),
            tx_names: Vec::new(),
            tx_slots: HashMap::new(),
            chains: vec![Chain {
                rows: Vec::new(),
                mask: 0,
            }],
            selectors: Vec::new(),
            ids: HashMap::new(),
            open: None,
            settings,
            markers: Vec::new(),
        };
        // The captures of a match: slots 0 to 9.
        for group in 0..10 {
            builder.intern(&group.to_string());
        }
        builder
    }

    /// A builder of rules that run beside a base: in place 0 before it, in place 2 after it. `taken` TX slots are in use.
    pub(super) fn beside(
        files: &'a dyn Files,
        patterns: &Arc<Patterns>,
        base: &'a Program,
        place: usize,
        taken: usize,
    ) -> Self {
        let mut builder = Self::new(files, patterns);
        builder.tx_names.clear();
        builder.tx_slots.clear();
        builder.base = Some(base);
        builder.place = place;
        builder.tx_first = u16::try_from(taken).unwrap_or(u16::MAX);
        builder.settings = base.settings.clone();
        builder
    }

    pub(super) fn source(&mut self, source: &Source, depth: usize) {
        let path = Arc::new(source.path.clone());
        self.settings.digest = digest_of(self.settings.digest, source.text.as_bytes());
        for directive in directives(&path, &source.text, &mut self.found) {
            self.files.pause();
            self.directive(&directive, &source.path, depth);
        }
        if let Some(open) = self.open.take() {
            let place = Place {
                path,
                line: open.line,
                column: 1,
            };
            self.found.push(place.error(
                "open_chain",
                "the chain of this rule has no further rule in its file",
            ));
        }
    }

    pub(super) fn intern(&mut self, name: &str) -> u16 {
        let key = name.as_bytes().to_ascii_lowercase();
        if let Some(known) = self.base.and_then(|base| base.tx_slots.get(&key)) {
            return *known;
        }
        let next = usize::from(self.tx_first) + self.tx_names.len();
        let next = u16::try_from(next).unwrap_or(u16::MAX);
        *self.tx_slots.entry(key.clone()).or_insert_with(|| {
            self.tx_names.push(key);
            next
        })
    }

    fn directive(&mut self, directive: &Directive, path: &Path, depth: usize) {
        let name = &directive.name;
        let place = name.place(0);
        let args = directive.args.as_slice();
        match (name.text.to_ascii_lowercase().as_str(), args) {
            ("include", [pattern]) => self.include(pattern, path, depth),
            ("secrule", [targets, operator]) => self.rule(Some((targets, operator)), None, path, place),
            ("secrule", [targets, operator, actions]) => {
                self.rule(Some((targets, operator)), Some(actions), path, place)
            }
            ("secaction", [actions]) => self.rule(None, Some(actions), path, place),
            ("secdefaultaction", [actions]) => self.default_action(actions),
            ("secmarker", [name]) => {
                self.markers.push((name.text.clone(), self.rules.len(), place));
            }
            ("secruleremovebyid" | "secruleremovebytag" | "secruleremovebymsg", [_, ..]) => {
                self.remove(name, args)
            }
            (
                "secruleupdatetargetbyid" | "secruleupdatetargetbytag" | "secruleupdatetargetbymsg",
                [which, targets],
            ) => {
                self.update_targets(name, which, targets);
            }
            ("secruleupdateactionbyid", [which, actions]) => self.update_actions(which, actions),
            ("seccomponentsignature", [_]) => {}
            ("secresponsebodymimetype", [_, ..]) => {
                let types = args.iter().flat_map(|arg| arg.text.split_ascii_whitespace());
                self.settings.response_types = types.map(str::to_ascii_lowercase).collect();
            }
            ("secresponsebodymimetypesclear", []) => self.settings.response_types.clear(),
            (_, [value]) if self.setting(name, value) => {}
            (lower, _) if foreign::find(WITHOUT_EFFECT, lower).is_some() => {
                let why = foreign::find(WITHOUT_EFFECT, lower).unwrap_or_default();
                let message = format!("`{}` has no effect in Weir: {why}", name.text);
                self.found
                    .push(place.warning("directive_without_effect", message));
            }
            (lower, _) if foreign::find(REFUSED, lower).is_some() => {
                let why = foreign::find(REFUSED, lower).unwrap_or_default();
                let message = format!("`{}` is refused: {why}", name.text);
                self.found.push(place.error("refused_directive", message));
            }
            (lower, _) if KNOWN.iter().any(|n| n.eq_ignore_ascii_case(lower)) => {
                let message = format!("`{}` does not take these arguments", name.text);
                self.found.push(place.error("bad_directive", message));
            }
            _ => self.found.push(
                place.error_hint(
                    "unknown_directive",
                    format!("unknown directive `{}`", name.text),
                    nearest(
                        &name.text,
                        KNOWN
                            .iter()
                            .copied()
                            .chain(WITHOUT_EFFECT.iter().map(|(name, _)| *name)),
                    ),
                ),
            ),
        }
    }

    /// The directives that take one plain value; false for any other.
    fn setting(&mut self, name: &Arg, value: &Arg) -> bool {
        let text = value.text.as_str();
        let on_off = match text.to_ascii_lowercase().as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let number = text.parse::<usize>().ok().filter(|n| *n > 0);
        let settings = &mut self.settings;
        let done = match name.text.to_ascii_lowercase().as_str() {
            "secruleengine" => engine_mode(text).map(|mode| settings.engine = mode),
            "secauditengine" => audit_engine(text).map(|audit| settings.audit = audit),
            "secrequestbodyaccess" => on_off.map(|on| settings.request_body = on),
            "secresponsebodyaccess" => on_off.map(|on| settings.response_body = on),
            "secparsexmlintoargs" => xml_args(text).map(|args| settings.xml_args = args),
            "secargumentslimit" => number.map(|n| settings.arguments_max = n),
            "secrequestbodyjsondepthlimit" => number.map(|n| settings.json_depth_max = n),
            "secargumentseparator" => match text.as_bytes() {
                [byte] => {
                    settings.argument_separator = *byte;
                    Some(())
                }
                _ => None,
            },
            _ => return false,
        };
        if done.is_none() {
            self.found.push(
                value
                    .place(0)
                    .error("bad_value", format!("`{}` does not take `{text}`", name.text)),
            );
        }
        true
    }

    fn include(&mut self, pattern: &Arg, path: &Path, depth: usize) {
        let place = pattern.place(0);
        if depth >= INCLUDE_DEPTH_MAX {
            self.found
                .push(place.error("include_depth", "files include each other too deeply"));
            return;
        }
        let full = path.parent().unwrap_or_else(|| Path::new("")).join(&pattern.text);
        let paths: Vec<PathBuf> = match self.files.glob(&full) {
            Ok(paths) => paths,
            Err(e) => {
                self.found
                    .push(place.error("include_failed", format!("cannot list {}: {e}", full.display())));
                return;
            }
        };
        for path in paths {
            match self.files.read(&path) {
                Ok(data) => {
                    let text = String::from_utf8_lossy(&data).into_owned();
                    self.source(&Source { path, text }, depth + 1);
                }
                Err(e) => {
                    self.found
                        .push(place.error("include_failed", format!("cannot read {}: {e}", path.display())));
                }
            }
        }
    }

    fn remove(&mut self, name: &Arg, args: &[Arg]) {
        for arg in args {
            let Some(selector) = self.selector(&name.text, arg) else {
                continue;
            };
            let before = self.rules.len();
            let gone: Vec<bool> = self.rules.iter().map(|rule| selector.selects(rule)).collect();
            for (_, at, _) in &mut self.markers {
                *at -= gone.iter().take(*at).filter(|gone| **gone).count();
            }
            let mut flags = gone.iter();
            self.rules.retain(|_| flags.next() != Some(&true));
            let of_base = self.base.map(|base| tables::selected(&selector, &base.rules));
            let of_base = of_base.unwrap_or_default();
            self.base_removed.absorb(&of_base);
            if self.rules.len() == before && of_base.is_empty() {
                self.found.push(
                    arg.place(0)
                        .warning("exclusion_matches_nothing", "no rule above is selected by this"),
                );
            }
        }
    }

    fn selector(&mut self, name: &str, arg: &Arg) -> Option<RuleSelector> {
        match rule_selector(name, &arg.text, &self.patterns) {
            Ok(selector) => Some(selector),
            Err(e) => {
                self.found.push(arg.place(0).error("bad_selector", e));
                None
            }
        }
    }

    fn update_targets(&mut self, name: &Arg, which: &Arg, targets: &Arg) {
        let Some(selector) = self.selector(&name.text, which) else {
            return;
        };
        let raw = split_targets(targets, &mut self.found);
        let mut hit = self.update_base(&selector, &raw, which);
        for index in 0..self.rules.len() {
            if !self.rules.get(index).is_some_and(|rule| selector.selects(rule)) {
                continue;
            }
            hit = true;
            let mut added = Vec::new();
            let mut excluded = Vec::new();
            for target in &raw {
                let all = self.targets_of(target);
                if target.exclude {
                    excluded.extend(all.into_iter().map(Arc::new))
                } else {
                    added.extend(all)
                }
            }
            if let Some(rule) = self.rules.get_mut(index) {
                for link in &mut rule.links {
                    link.exclusions.extend(excluded.iter().cloned());
                }
                if let Some(Link { targets, .. }) = rule.links.first_mut() {
                    targets.extend(added);
                }
            }
        }
        if !hit {
            self.found.push(
                which
                    .place(0)
                    .warning("exclusion_matches_nothing", "no rule above is selected by this"),
            );
        }
    }

    /// A marker that no rule jumps to does nothing.
    fn lint_markers(&mut self) {
        for (name, _, place) in &self.markers {
            if !self
                .rules
                .iter()
                .any(|rule| rule.skip_after.as_ref() == Some(name))
            {
                let message = format!("no rule skips to the marker `{name}`");
                self.found.push(place.warning("unused_marker", message));
            }
        }
    }

    /// Takes targets away from rules of the base; says whether any is selected.
    fn update_base(&mut self, selector: &RuleSelector, raw: &[RawTarget], which: &Arg) -> bool {
        let selected = self.base.map(|base| tables::selected(selector, &base.rules));
        let Some(selected) = selected.filter(|selected| !selected.is_empty()) else {
            return false;
        };
        for target in raw {
            if !target.exclude {
                let message = "targets can be taken away from the rules of the shared set, not added";
                self.found
                    .push(which.place(0).error("cannot_add_target", message));
                continue;
            }
            let targets = self.targets_of(target);
            let excluded = targets.into_iter().map(|t| (selected.clone(), Arc::new(t)));
            self.base_excluded.extend(excluded);
        }
        true
    }

    pub(super) fn finish(mut self) -> (Program, Vec<Diagnostic>) {
        let mut phases: [Vec<Step>; 5] = Default::default();
        let mut places: HashMap<String, [usize; 5]> = HashMap::new();
        // The step of each rule in its phase.
        let mut own: Vec<usize> = Vec::with_capacity(self.rules.len());
        let mut markers = self.markers.iter().peekable();
        for index in 0..=self.rules.len() {
            while let Some((name, ..)) = markers.next_if(|(_, at, _)| *at <= index) {
                places.insert(
                    name.clone(),
                    std::array::from_fn(|p| phases.get(p).map_or(0, Vec::len)),
                );
                phases.iter_mut().for_each(|steps| steps.push(Step::Marker));
            }
            if let Some(steps) = self.rules.get(index).and_then(|rule| phases.get_mut(rule.phase)) {
                own.push(steps.len());
                steps.push(Step::Rule(index));
            }
        }
        for (rule, own) in self.rules.iter_mut().zip(own) {
            let Some(name) = &rule.skip_after else { continue };
            rule.jump = places.get(name).and_then(|at| at.get(rule.phase)).copied();
            let behind = rule.jump.is_some_and(|jump| jump <= own);
            if rule.jump.is_none() || behind {
                let place = Place {
                    path: Arc::clone(&rule.file),
                    line: rule.line,
                    column: 1,
                };
                self.found.push(if behind {
                    let message = format!("the SecMarker `{name}` is above this rule, which skips nothing");
                    place.warning("marker_above", message)
                } else {
                    place.error("unknown_marker", format!("there is no SecMarker `{name}`"))
                });
            }
        }
        self.lint_markers();
        let never = super::lint::never(&self.rules, &self.chains);
        self.found.extend(never);
        let shared = self.base.map(|base| base.rules.as_slice()).unwrap_or_default();
        self.found.extend(super::lint::unopened(&self.rules, shared));
        tables::build(self, phases)
    }
}

pub(super) fn xml_args(text: &str) -> Option<XmlArgs> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(XmlArgs::On),
        "off" => Some(XmlArgs::Off),
        "onlyargs" => Some(XmlArgs::Only),
        _ => None,
    }
}

pub(super) fn audit_engine(text: &str) -> Option<Audit> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(Audit::All),
        "off" => Some(Audit::Off),
        "relevantonly" => Some(Audit::Matches),
        _ => None,
    }
}

pub(super) fn engine_mode(text: &str) -> Option<EngineMode> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(EngineMode::On),
        "off" => Some(EngineMode::Off),
        "detectiononly" => Some(EngineMode::DetectionOnly),
        _ => None,
    }
}

/// The selector that a directive or `ctl` name ending in `ById`, `ByTag` or `ByMsg` means.
pub(super) fn rule_selector(name: &str, text: &str, patterns: &Patterns) -> Result<RuleSelector, String> {
    let lower = name.to_ascii_lowercase();
    if lower.ends_with("bytag") {
        return operators::regex(text, patterns).map(RuleSelector::Tag);
    }
    if lower.ends_with("bymsg") {
        return operators::regex(text, patterns).map(RuleSelector::Message);
    }
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
    };
    text.split([',', ' '])
        .filter(|p| !p.is_empty())
        .map(|part| range(part).ok_or_else(|| format!("`{part}` is no rule id or range of ids")))
        .collect::<Result<_, _>>()
        .map(RuleSelector::Ids)
}
