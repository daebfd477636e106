//! What a tenant changes of its rule set, from the document's keys to an [`Overlay`] on the shared set.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use weir_rules::{Diagnostic, Overlay, RuleChoice};
use weir_schema::config::checked::{ExcludedRules, Tenant, WafPolicy, WafSwitches};
use weir_schema::ids::TenantId;

use super::{CompileError, TenantLive, sources};

/// Most warnings that a version keeps; a document with more has them all for one reason.
const WARNINGS_MAX: usize = 1000;

/// The overlay; empty for a tenant that takes the shared set as it is.
///
/// # Errors
/// Own files that cannot be read.
pub(super) fn of(waf: &WafPolicy) -> Result<Overlay, Vec<CompileError>> {
    let mut overlay = Overlay {
        tx: waf.tx.clone(),
        before: sources(&waf.rules_before)?,
        after: sources(&waf.rules)?,
        ..Overlay::default()
    };
    for exclusion in &waf.exclusions {
        let rules = choice(&exclusion.rules);
        if exclusion.targets.is_empty() {
            overlay.remove.push(rules);
            continue;
        }
        let targets = exclusion.targets.iter();
        overlay
            .remove_targets
            .extend(targets.map(|target| (rules.clone(), target.clone())));
    }
    Ok(overlay)
}

fn choice(rules: &ExcludedRules) -> RuleChoice {
    match rules {
        ExcludedRules::Ids { first, last } if first == last => RuleChoice::Ids(first.to_string()),
        ExcludedRules::Ids { first, last } => RuleChoice::Ids(format!("{first}-{last}")),
        ExcludedRules::Message(pattern) => RuleChoice::Message(pattern.clone()),
        ExcludedRules::Tag(pattern) => RuleChoice::Tag(pattern.clone()),
    }
}

/// Adds what works but may not mean what the tenant's operator thinks; an exclusion goes with its note.
pub(super) fn warn(tenant: &Tenant, found: &[Diagnostic], warnings: &mut Vec<String>) {
    for one in found {
        let about = tenant.waf.exclusions.iter().find(|exclusion| {
            one.code == "exclusion_matches_nothing"
                && one.message.ends_with(&choice(&exclusion.rules).to_string())
        });
        let note = about.and_then(|exclusion| exclusion.note.as_deref());
        let note = note.map_or_else(String::new, |note| format!(" ({note})"));
        // What the document says has no place in a rule file.
        let text = if one.path == Path::new("overlay") {
            one.message.clone()
        } else {
            one.to_string()
        };
        if warnings.len() < WARNINGS_MAX {
            warnings.push(format!("tenant {}: {text}{note}", tenant.id));
        }
    }
}

/// Says which rules the document switches off that no tenant has.
pub(super) fn warn_of_switches(
    switches: &WafSwitches,
    tenants: &HashMap<TenantId, Arc<TenantLive>>,
    warnings: &mut Vec<String>,
) {
    for id in &switches.rules_off {
        let mut sets = tenants.values().filter_map(|live| live.policy.rules.as_ref());
        if !sets.any(|rules| rules.has_rule(*id)) && warnings.len() < WARNINGS_MAX {
            warnings.push(format!("waf.rules_off: no tenant has a rule {id}"));
        }
    }
}
