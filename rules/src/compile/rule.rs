//! `SecRule`, `SecAction` and `SecDefaultAction`.

use std::path::Path;
use std::sync::Arc;

use super::directives::{Builder, audit_engine, engine_mode, rule_selector, xml_args};
use super::{Chain, Disruptive, Effect, Link, Macro, Rule, Selector, Target};
use crate::operators::{self, Operator};
use crate::seclang::{Action, Arg, Place, RawSelector, RawTarget, nearest, split_actions, split_targets};
use crate::transformations;
use crate::variables::{TABLE, Var, refused};

const ACTIONS: &[&str] = &[
    "accuracy",
    "allow",
    "auditlog",
    "block",
    "capture",
    "chain",
    "ctl",
    "deny",
    "deprecatevar",
    "expirevar",
    "id",
    "initcol",
    "log",
    "logdata",
    "maturity",
    "msg",
    "multiMatch",
    "noauditlog",
    "nolog",
    "pass",
    "phase",
    "rev",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
    "severity",
    "skip",
    "skipAfter",
    "status",
    "t",
    "tag",
    "ver",
];

/// Actions that other engines have and Weir refuses, and why.
const REFUSED_ACTIONS: &[(&str, &str)] = &[
    ("append", "responses are not rewritten by rules"),
    (
        "drop",
        "use `deny`: the proxy decides what becomes of the connection",
    ),
    ("exec", "rules do not start programs"),
    (
        "pause",
        "a held request costs the proxy more than its sender; use limits",
    ),
    ("prepend", "responses are not rewritten by rules"),
    ("proxy", "routes decide where a request goes"),
    ("redirect", "use `deny` with a status; redirects are routes"),
    ("sanitisearg", "the proxy's log has its own redaction"),
    ("sanitisematched", "the proxy's log has its own redaction"),
    ("sanitisematchedbytes", "the proxy's log has its own redaction"),
    ("sanitiserequestheader", "the proxy's log has its own redaction"),
    ("sanitiseresponseheader", "the proxy's log has its own redaction"),
    ("setenv", "rules do not see the process"),
    (
        "xmlns",
        "only the XPaths `/*` and `//@*` are supported, and they need no namespace",
    ),
];

/// Options of `ctl`, for diagnostics.
const CONTROLS: &[&str] = &[
    "auditEngine",
    "auditLogParts",
    "forceRequestBodyVariable",
    "parseXmlIntoArgs",
    "requestBodyAccess",
    "requestBodyProcessor",
    "responseBodyAccess",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];

/// Options of `ctl` that other engines have and Weir refuses, and what to use instead.
const REFUSED_CONTROLS: &[(&str, &str)] = &[
    ("debugLogLevel", "use `weir rules explain`"),
    ("hashEnforcement", "links are not signed"),
    ("hashEngine", "links are not signed"),
    (
        "requestBodyLimit",
        "`waf.body_bytes_max` and `waf.body_over_limit` of the tenant decide",
    ),
    (
        "responseBodyLimit",
        "`waf.response_bytes_max` of the tenant decides",
    ),
];

const SEVERITIES: &[&str] = &[
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFO",
    "DEBUG",
];

/// What a `SecDefaultAction` gives the rules of its phase.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    disruptive: Disruptive,
    status: u16,
    log: bool,
    audit: bool,
    transformations: Vec<u16>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            disruptive: Disruptive::Pass,
            status: 403,
            log: true,
            audit: true,
            transformations: Vec::new(),
        }
    }
}

/// The actions of one link while they are read.
#[derive(Default)]
struct Draft {
    id: Option<u64>,
    phase: Option<usize>,
    chained: bool,
    capture: bool,
    multi_match: bool,
    block: bool,
    disruptive: Option<Disruptive>,
    status: Option<u16>,
    log: Option<bool>,
    audit: Option<bool>,
    transformations: Option<Vec<u16>>,
    message: Option<Macro>,
    data: Option<Macro>,
    severity: Option<u8>,
    tags: Vec<String>,
    skip: usize,
    skip_after: Option<String>,
    effects: Vec<Effect>,
}

impl Builder<'_> {
    pub(super) fn default_action(&mut self, arg: &Arg) {
        let actions = split_actions(arg, &mut self.found);
        let draft = self.draft(&actions);
        let defaults = Defaults {
            disruptive: draft.disruptive.unwrap_or(Disruptive::Pass),
            status: draft.status.unwrap_or(403),
            log: draft.log.unwrap_or(true),
            audit: draft.audit.unwrap_or(true),
            transformations: draft.transformations.unwrap_or_default(),
        };
        if let Some(slot) = self.defaults.get_mut(draft.phase.unwrap_or(1)) {
            *slot = defaults;
        }
    }

    pub(super) fn rule(
        &mut self,
        matcher: Option<(&Arg, &Arg)>,
        actions: Option<&Arg>,
        path: &Path,
        place: Place,
    ) {
        let listed = actions
            .map(|arg| split_actions(arg, &mut self.found))
            .unwrap_or_default();
        let mut draft = self.draft(&listed);
        let open = self.open.take();
        let phase = open
            .as_ref()
            .map_or_else(|| draft.phase.unwrap_or(1), |rule| rule.phase);
        let defaults = self.defaults.get(phase).cloned().unwrap_or_default();
        let (targets, exclusions, operator, negated) = match matcher {
            Some((targets, operator)) => {
                let (targets, exclusions) = self.targets(targets);
                let (operator, negated) = self.operator(operator, path);
                (targets, exclusions, operator, negated)
            }
            None => (Vec::new(), Vec::new(), Operator::Always, false),
        };
        let list = draft
            .transformations
            .take()
            .unwrap_or_else(|| defaults.transformations.clone());
        let link = Link {
            targets,
            exclusions,
            operator,
            filter: None,
            negated,
            chain: self.chain(list),
            multi_match: draft.multi_match,
            capture: draft.capture,
            effects: std::mem::take(&mut draft.effects),
        };
        let chained = draft.chained;
        let rule = match open {
            Some(mut rule) => {
                rule.links.push(link);
                rule
            }
            None => self.head(draft, link, phase, &defaults, place),
        };
        if chained {
            self.open = Some(rule)
        } else {
            self.rules.push(rule)
        }
    }

    /// `SecRuleUpdateActionById`: what a rule does when it matches, not when it matches.
    pub(super) fn update_actions(&mut self, which: &Arg, actions: &Arg) {
        let listed = split_actions(actions, &mut self.found);
        let allowed = [
            "allow",
            "block",
            "deny",
            "log",
            "logdata",
            "msg",
            "nolog",
            "pass",
            "severity",
            "status",
            "tag",
            "auditlog",
            "noauditlog",
        ];
        for action in listed
            .iter()
            .filter(|a| !allowed.contains(&a.name.to_ascii_lowercase().as_str()))
        {
            let message = format!("`{}` cannot be changed: write a rule of your own", action.name);
            self.found.push(action.place.error("bad_action", message));
        }
        let draft = self.draft(&listed);
        let selector = match rule_selector("ById", &which.text, &self.patterns) {
            Ok(selector) => selector,
            Err(e) => return self.found.push(which.place(0).error("bad_selector", e)),
        };
        let defaults = self.defaults.clone();
        let mut hit = false;
        for rule in self.rules.iter_mut().filter(|rule| selector.selects(rule)) {
            hit = true;
            if let Some(defaults) = defaults.get(rule.phase).filter(|_| draft.block) {
                rule.disruptive = defaults.disruptive;
            }
            rule.disruptive = draft.disruptive.unwrap_or(rule.disruptive);
            rule.status = draft.status.unwrap_or(rule.status);
            rule.log = draft.log.unwrap_or(rule.log);
            rule.audit = draft.audit.unwrap_or(rule.audit);
            rule.severity = draft.severity.or(rule.severity);
            rule.message = draft.message.clone().or_else(|| rule.message.take());
            rule.data = draft.data.clone().or_else(|| rule.data.take());
            if !draft.tags.is_empty() {
                rule.tags = rule.tags.iter().chain(&draft.tags).cloned().collect();
            }
        }
        if !hit {
            let message = "no rule above is selected by this";
            self.found
                .push(which.place(0).warning("exclusion_matches_nothing", message));
        }
    }

    fn head(&mut self, draft: Draft, link: Link, phase: usize, defaults: &Defaults, place: Place) -> Rule {
        let id = draft.id.unwrap_or(0);
        if id == 0 {
            self.found
                .push(place.error("missing_id", "every rule needs an `id`"));
        } else if self
            .base
            .is_some_and(|base| base.rules.iter().any(|rule| rule.id == id))
        {
            self.found
                .push(place.error("duplicate_id", format!("rule {id} is already in the shared set")));
        } else if let Some(first) = self
            .ids
            .insert(id, format!("{}:{}", place.path.display(), place.line))
        {
            self.found
                .push(place.error("duplicate_id", format!("rule {id} is already at {first}")));
        }
        let disruptive = match draft.disruptive {
            Some(disruptive) if !draft.block => disruptive,
            _ => defaults.disruptive,
        };
        Rule {
            id,
            phase,
            links: vec![link],
            disruptive,
            status: draft.status.unwrap_or(defaults.status),
            log: draft.log.unwrap_or(defaults.log),
            audit: draft.audit.unwrap_or(defaults.audit),
            message: draft.message,
            data: draft.data,
            severity: draft.severity,
            tags: draft.tags.into(),
            skip: draft.skip,
            skip_after: draft.skip_after,
            jump: None,
            file: place.path,
            line: place.line,
        }
    }

    fn chain(&mut self, rows: Vec<u16>) -> u16 {
        let at = self
            .chains
            .iter()
            .position(|known| known.rows == rows)
            .unwrap_or_else(|| {
                let mask = rows.iter().fold(0, |mask, row| mask | 1_u64 << row);
                self.chains.push(Chain { rows, mask });
                self.chains.len() - 1
            });
        u16::try_from(at).unwrap_or(0)
    }

    fn targets(&mut self, arg: &Arg) -> (Vec<Target>, Vec<Arc<Target>>) {
        let (mut targets, mut exclusions) = (Vec::new(), Vec::new());
        for raw in split_targets(arg, &mut self.found) {
            let all = self.targets_of(&raw);
            if raw.exclude {
                exclusions.extend(all.into_iter().map(Arc::new))
            } else {
                targets.extend(all)
            }
        }
        (targets, exclusions)
    }

    /// One target, or two where a SecLang name stands for two variables (`XML`).
    pub(super) fn targets_of(&mut self, raw: &RawTarget) -> Vec<Target> {
        let Some(var) = Var::named(&raw.name) else {
            if let Some(why) = refused(&raw.name) {
                let message = format!("`{}` is refused: {why}", raw.name);
                self.found.push(raw.place.error("refused_variable", message));
                return Vec::new();
            }
            let hint = nearest(&raw.name, TABLE.iter().map(|(name, _)| *name));
            self.found.push(raw.place.error_hint(
                "unknown_variable",
                format!("unknown variable `{}`", raw.name),
                hint,
            ));
            return Vec::new();
        };
        if let RawSelector::Key(key) = &raw.selector
            && let Some(why) = super::persist::refused(var, key).or_else(|| var.bad_key(key))
        {
            self.found.push(raw.place.error("refused_variable", why));
            return Vec::new();
        }
        self.settings.file_contents |= var == Var::FilesTmpContent;
        self.settings.full_request |= var == Var::FullRequest;
        let target = |var, selector, slot| Target {
            var,
            selector,
            slot,
            slots: Box::default(),
            count: raw.count,
        };
        match &raw.selector {
            RawSelector::All if var == Var::Xml => {
                vec![
                    target(Var::XmlText, Selector::All, None),
                    target(Var::XmlAttributes, Selector::All, None),
                ]
            }
            RawSelector::All => vec![target(var, Selector::All, None)],
            RawSelector::XPath(path) => match path.as_str() {
                "/*" => vec![target(Var::XmlText, Selector::All, None)],
                "//@*" => vec![target(Var::XmlAttributes, Selector::All, None)],
                _ => {
                    let message = format!("the XPath `{path}` is not supported");
                    let hint = Some("use `XML:/*` for all text or `XML://@*` for all attributes".to_owned());
                    self.found
                        .push(raw.place.error_hint("unsupported_xpath", message, hint));
                    Vec::new()
                }
            },
            RawSelector::Key(key) => {
                let slot = (var == Var::Tx).then(|| self.intern(key));
                vec![target(
                    var,
                    Selector::Key(key.as_bytes().to_ascii_lowercase()),
                    slot,
                )]
            }
            // Names are matched without regard to case, as single keys are.
            RawSelector::Regex(pattern) => match operators::regex(&format!("(?i:{pattern})"), &self.patterns)
            {
                Ok(regex) => vec![target(var, Selector::Regex(regex, pattern.clone()), None)],
                Err(e) => {
                    self.found.push(raw.place.error("bad_regex", e));
                    Vec::new()
                }
            },
        }
    }

    fn operator(&mut self, arg: &Arg, path: &Path) -> (Operator, bool) {
        let text = arg.text.trim_start();
        let (negated, text) = text
            .strip_prefix('!')
            .map_or((false, text), |t| (true, t.trim_start()));
        let (name, argument) = match text.strip_prefix('@') {
            Some(rest) => rest
                .split_once(char::is_whitespace)
                .map_or((rest, ""), |(name, a)| (name, a.trim_start())),
            None => ("rx", text),
        };
        let place = arg.place(arg.text.len() - text.len());
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        let (files, patterns) = (self.files, Arc::clone(&self.patterns));
        let parse = |text: &str| Macro::parse(text, &mut |name| self.intern(name));
        match operators::build(name, argument, parse, &folder, (files, &patterns)) {
            Ok(operator) => return (operator, negated),
            Err(Some(e)) => self
                .found
                .push(place.error("bad_operator", format!("@{name}: {e}"))),
            Err(None) if operators::refused(name).is_some() => self.found.push(place.error(
                "refused_operator",
                format!(
                    "`@{name}` is refused: {}",
                    operators::refused(name).unwrap_or_default()
                ),
            )),
            Err(None) => self.found.push(place.error_hint(
                "unknown_operator",
                format!("unknown operator `@{name}`"),
                nearest(name, operators::NAMES.iter().copied()),
            )),
        }
        (Operator::Never, false)
    }

    fn text(&mut self, action: &Action) -> Option<Macro> {
        let text = action.value.clone().unwrap_or_default();
        match Macro::parse(&text, &mut |name| self.intern(name)) {
            Ok(text) => Some(text),
            Err(e) => {
                self.found.push(action.place.error("bad_macro", e));
                None
            }
        }
    }

    fn bad(&mut self, action: &Action) {
        let value = action.value.as_deref().unwrap_or_default();
        self.found.push(
            action
                .place
                .error("bad_action", format!("`{}` does not take `{value}`", action.name)),
        );
    }

    fn draft(&mut self, actions: &[Action]) -> Draft {
        let mut draft = Draft::default();
        for action in actions {
            if self.action(action, &mut draft).is_none() {
                self.bad(action);
            }
        }
        draft
    }

    /// Applies one action; `None` when its value makes no sense.
    fn action(&mut self, action: &Action, draft: &mut Draft) -> Option<()> {
        let value = action.value.as_deref();
        match action.name.to_ascii_lowercase().as_str() {
            "id" => draft.id = Some(value?.parse().ok().filter(|id| *id > 0)?),
            "phase" => draft.phase = Some(phase(value?)?),
            "chain" => draft.chained = true,
            "capture" => draft.capture = true,
            "multimatch" => draft.multi_match = true,
            "pass" => draft.disruptive = Some(Disruptive::Pass),
            "deny" => draft.disruptive = Some(Disruptive::Deny),
            "block" => draft.block = true,
            "allow" => draft.disruptive = Some(allow(value)?),
            "status" => draft.status = Some(value?.parse().ok().filter(|s| (100..=599).contains(s))?),
            // `log` and `nolog` are about both records; an `auditlog` or `noauditlog` behind them about the audit event only.
            "log" => (draft.log, draft.audit) = (Some(true), Some(true)),
            "nolog" => (draft.log, draft.audit) = (Some(false), Some(false)),
            "auditlog" => draft.audit = Some(true),
            "noauditlog" => draft.audit = Some(false),
            "msg" => draft.message = self.text(action),
            "logdata" => draft.data = self.text(action),
            "tag" => draft.tags.push(value?.to_owned()),
            "severity" => draft.severity = Some(severity(value?)?),
            // Descriptions for people; they change nothing by definition.
            "ver" | "rev" | "maturity" | "accuracy" => {
                value?;
            }
            "skip" => draft.skip = value?.parse().ok().filter(|n| *n > 0)?,
            "skipafter" => draft.skip_after = Some(value?.to_owned()),
            "t" => self.transformation(action, draft)?,
            "setvar" => self.setvar(action, draft)?,
            "ctl" => self.ctl(action, draft)?,
            "initcol" | "setuid" | "setsid" | "setrsc" => draft.effects.push(self.open(action)?),
            "expirevar" => draft.effects.push(self.expire(action)?),
            "deprecatevar" => draft.effects.push(self.decay(action)?),
            lower if REFUSED_ACTIONS.iter().any(|(name, _)| *name == lower) => {
                let why = REFUSED_ACTIONS.iter().find(|(name, _)| *name == lower);
                let why = why.map(|(_, why)| *why).unwrap_or_default();
                let message = format!("`{}` is refused: {why}", action.name);
                self.found.push(action.place.error("refused_action", message));
            }
            _ => self.found.push(action.place.error_hint(
                "unknown_action",
                format!("unknown or unsupported action `{}`", action.name),
                nearest(&action.name, ACTIONS.iter().copied()),
            )),
        }
        Some(())
    }

    fn transformation(&mut self, action: &Action, draft: &mut Draft) -> Option<()> {
        let name = action.value.as_deref()?;
        let list = draft.transformations.get_or_insert_default();
        if name.eq_ignore_ascii_case("none") {
            list.clear();
            return Some(());
        }
        match transformations::find(name).and_then(|at| u16::try_from(at).ok()) {
            Some(at) => list.push(at),
            None => self.found.push(action.place.error_hint(
                "unknown_transformation",
                format!("unknown transformation `{name}`"),
                nearest(name, transformations::TABLE.iter().map(|t| t.name)),
            )),
        }
        Some(())
    }

    fn setvar(&mut self, action: &Action, draft: &mut Draft) -> Option<()> {
        let text = action.value.as_deref()?;
        let (unset, text) = text.strip_prefix('!').map_or((false, text), |t| (true, t));
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(name, value)| (name, Some(value)));
        let (collection, key) = name.trim().split_once('.')?;
        if !collection.eq_ignore_ascii_case("tx") {
            let var = self.persistent(action, collection)?;
            draft.effects.push(self.keep(action, var, key, value, unset)?);
            return Some(());
        }
        let change = self.change(action, value, unset)?;
        let name = self.part(action, key)?;
        let slot = name.constant().is_some().then(|| self.intern(key));
        let may_be_slot = true;
        draft.effects.push(Effect::Set {
            name,
            slot,
            may_be_slot,
            change,
        });
        Some(())
    }

    /// A `ctl` option that is refused, or that nobody knows.
    fn unknown_control(&mut self, action: &Action, name: &str) {
        let refused = REFUSED_CONTROLS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        self.found.push(match refused {
            Some((_, why)) => {
                let message = format!("`ctl:{name}` is refused: {why}");
                action.place.error("refused_action", message)
            }
            None => action.place.error_hint(
                "unknown_action",
                format!("unknown option `ctl:{name}`"),
                nearest(name, CONTROLS.iter().copied()),
            ),
        });
    }

    /// Told once: older releases of the CRS have it in many rules.
    fn without_effect(&mut self, action: &Action) {
        let code = "ctl_without_effect";
        if self.found.iter().all(|found| found.code != code) {
            let message = "`ctl:auditLogParts` has no effect in Weir: an audit event has one form (`observability.audit_log`)";
            self.found.push(action.place.warning(code, message));
        }
    }

    fn ctl(&mut self, action: &Action, draft: &mut Draft) -> Option<()> {
        let (name, value) = action.value.as_deref()?.split_once('=')?;
        let lower = name.trim().to_ascii_lowercase();
        let effect = match lower.as_str() {
            "ruleengine" => Effect::Engine(engine_mode(value)?),
            "requestbodyprocessor" => {
                let known = ["URLENCODED", "MULTIPART", "JSON", "XML"];
                Effect::BodyProcessor((*known.iter().find(|k| k.eq_ignore_ascii_case(value))?).to_owned())
            }
            "requestbodyaccess" => Effect::RequestBodyAccess(switch(value)?),
            "responsebodyaccess" => Effect::ResponseBodyAccess(switch(value)?),
            "forcerequestbodyvariable" => Effect::ForceRequestBody(value.eq_ignore_ascii_case("on")),
            "parsexmlintoargs" => Effect::XmlArgs(xml_args(value)?),
            "auditengine" => Effect::Audit(audit_engine(value)?),
            "auditlogparts" => {
                self.without_effect(action);
                return Some(());
            }
            "ruleremovebyid" | "ruleremovebytag" | "ruleremovebymsg" => {
                self.selectors
                    .push(rule_selector(&lower, value, &self.patterns).ok()?);
                Effect::RemoveRules(self.selectors.len() - 1)
            }
            "ruleremovetargetbyid" | "ruleremovetargetbytag" | "ruleremovetargetbymsg" => {
                let (which, target) = value.split_once(';')?;
                let (name, key) = target
                    .split_once(':')
                    .map_or((target, None), |(n, k)| (n, Some(k)));
                let selector = match key {
                    None => RawSelector::All,
                    Some(key) => match key.strip_prefix('/').and_then(|k| k.strip_suffix('/')) {
                        Some(regex) => RawSelector::Regex(regex.to_owned()),
                        None => RawSelector::Key(key.to_owned()),
                    },
                };
                let (name, place) = (name.to_owned(), action.place.clone());
                let raw = RawTarget {
                    name,
                    selector,
                    count: false,
                    exclude: true,
                    place,
                };
                self.selectors
                    .push(rule_selector(&lower, which, &self.patterns).ok()?);
                let which = self.selectors.len() - 1;
                for target in self.targets_of(&raw) {
                    draft.effects.push(Effect::RemoveTarget(which, Arc::new(target)));
                }
                return Some(());
            }
            _ => {
                self.unknown_control(action, name.trim());
                return Some(());
            }
        };
        draft.effects.push(effect);
        Some(())
    }
}

fn phase(text: &str) -> Option<usize> {
    match text.to_ascii_lowercase().as_str() {
        "1" => Some(0),
        "2" | "request" => Some(1),
        "3" => Some(2),
        "4" | "response" => Some(3),
        "5" | "logging" => Some(4),
        _ => None,
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn allow(value: Option<&str>) -> Option<Disruptive> {
    match value {
        None => Some(Disruptive::AllowAll),
        Some("phase") => Some(Disruptive::AllowPhase),
        Some("request") => Some(Disruptive::AllowRequest),
        Some(_) => None,
    }
}

fn severity(text: &str) -> Option<u8> {
    let named = SEVERITIES.iter().position(|s| s.eq_ignore_ascii_case(text));
    named
        .or_else(|| text.parse().ok().filter(|n| *n < SEVERITIES.len()))
        .and_then(|n| u8::try_from(n).ok())
}
