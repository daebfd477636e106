//! Rules that no request can match, as far as that is plain from the rule alone.

use std::sync::Arc;

use super::{Chain, Effect, Link, Rule};
use crate::operators::{Operator, Text};
use crate::seclang::{Diagnostic, Place};
use crate::transformations::TABLE;
use crate::variables::{PERSISTENT, Var};

/// A warning for each rule that can never match.
pub(super) fn never(rules: &[Rule], chains: &[Chain]) -> Vec<Diagnostic> {
    let warning = |rule: &Rule| {
        let why = rule
            .links
            .iter()
            .find_map(|link| too_early(rule.phase, link).or_else(|| case(link, chains)))?;
        let place = Place {
            path: Arc::clone(&rule.file),
            line: rule.line,
            column: 1,
        };
        let message = format!("rule {} can never match: {why}", rule.id);
        Some(place.warning("never_matches", message))
    };
    rules.iter().filter_map(warning).collect()
}

/// A warning for the first rule that reads or writes a persistent collection which no rule opens, of the rules themselves
/// or of those of the shared set.
pub(super) fn unopened(rules: &[Rule], shared: &[Rule]) -> Vec<Diagnostic> {
    let opens = |var: Var| {
        let effects = rules
            .iter()
            .chain(shared)
            .flat_map(|rule| &rule.links)
            .flat_map(|link| &link.effects);
        effects
            .into_iter()
            .any(|effect| matches!(effect, Effect::Open(opened, _) if *opened == var))
    };
    let warning = |var: Var| {
        let rule = rules
            .iter()
            .find(|rule| rule.links.iter().any(|link| uses(link, var)))?;
        let place = Place {
            path: Arc::clone(&rule.file),
            line: rule.line,
            column: 1,
        };
        let (name, lower) = (var.name(), var.name().to_ascii_lowercase());
        let message = format!(
            "rule {} uses `{name}`, which no rule opens: `initcol:{lower}=...`",
            rule.id
        );
        Some(place.warning("collection_never_opened", message))
    };
    PERSISTENT
        .into_iter()
        .filter(|var| !opens(*var))
        .filter_map(warning)
        .collect()
}

fn uses(link: &Link, var: Var) -> bool {
    let writes = |effect: &Effect| match effect {
        Effect::Keep(kept, ..) | Effect::Expire(kept, ..) | Effect::Decay(kept, ..) => *kept == var,
        _ => false,
    };
    link.targets.iter().any(|target| target.var == var) || link.effects.iter().any(writes)
}

/// All variables of the link get their values in a later phase.
fn too_early(phase: usize, link: &Link) -> Option<String> {
    let first = link
        .targets
        .iter()
        .map(|target| if target.count { 0 } else { known_from(target.var) })
        .min()?;
    (first > phase).then(|| {
        let (known, now) = (first + 1, phase + 1);
        format!("its variables have no value before phase {known}, and it runs in phase {now}")
    })
}

/// The phase (from 0) from which a variable can have a value.
fn known_from(var: Var) -> usize {
    match var {
        Var::ArgsPost
        | Var::ArgsPostNames
        | Var::Files
        | Var::FilesNames
        | Var::FilesSizes
        | Var::FilesTmpContent
        | Var::MultipartPartHeaders
        | Var::RequestBody
        | Var::XmlText
        | Var::XmlAttributes => 1,
        Var::ResponseContentLength
        | Var::ResponseContentType
        | Var::ResponseHeaders
        | Var::ResponseHeadersNames
        | Var::ResponseProtocol
        | Var::ResponseStatus
        | Var::StatusLine => 2,
        Var::ResponseBody => 3,
        _ => 0,
    }
}

/// A text with upper-case letters is looked for in values that were made lower case.
fn case(link: &Link, chains: &[Chain]) -> Option<String> {
    let Operator::Text(kind, text) = &link.operator else {
        return None;
    };
    let last = chains.get(usize::from(link.chain))?.rows.last()?;
    let lowered = TABLE
        .get(usize::from(*last))?
        .name
        .eq_ignore_ascii_case("lowercase");
    let whole = !matches!(kind, Text::Within);
    let upper = text.literal().iter().any(u8::is_ascii_uppercase);
    (lowered && whole && upper && !link.negated && !link.multi_match).then(|| {
        "the text it looks for has upper-case letters, and `t:lowercase` leaves none in the value".to_owned()
    })
}
